/*
 * fault.h
 *		Points where a test has a process fail; compiled in for tests only.
 *
 * A point is a place where the code could be left: by an error, a cancel or the
 * end of the session, which come where interrupts are taken, or by a crash, which
 * comes anywhere.  Nothing of this is in a build without -DPOOL_FAULT_POINTS.
 *
 * The setting pool.fault_point arms one point in the process that sets it:
 *
 *		'name action [n]'	error, cancel, terminate, crash or stop, when the
 *							process comes there for the nth time, once
 *
 * The worker reads it with the configuration; a process that starts does not
 * have it armed, or it would fail again and again, but for the points of its
 * start.  The server's log says when a point is armed and reached, and
 * pool.fault_points lists them all.
 *
 * The setting pool.fault_unwanted has what a session leaves unfinished, by a cancel
 * or a time-out, count as what nobody wants any more and changes nothing
 * (POOL_CONDITION_UNREAD).
 */
#ifndef POOL_FAULT_H
#define POOL_FAULT_H

#ifdef POOL_FAULT_POINTS

/*
 * Which process comes there: a session, the worker, or a worker that starts;
 * and how: RAISES, where an error may be raised; QUIET, where none is, but one
 * would be survived; SILENT, where the code relies on that none is, as under a
 * lock.
 */
#define POOL_FAULT_LIST(X)                      \
	/* Acquiring a slot. */                     \
	X(acquire_resolved, SESSION, RAISES)        \
	X(acquire_pool_made, SESSION, RAISES)       \
	X(acquire_configure, SESSION, RAISES)       \
	X(acquire_configured, SESSION, RAISES)      \
	X(acquire_try, SESSION, RAISES)             \
	X(acquire_leased_locked, SESSION, SILENT)   \
	X(acquire_joined_locked, SESSION, SILENT)   \
	X(acquire_joined, SESSION, RAISES)          \
	X(acquire_woken, SESSION, RAISES)           \
	X(acquire_granted, SESSION, RAISES)         \
	X(acquire_timed_out, SESSION, RAISES)       \
	X(acquire_abandon, SESSION, SILENT)         \
	X(acquire_leave_locked, SESSION, SILENT)    \
	X(acquire_done, SESSION, RAISES)            \
	/* Its connection. */                       \
	X(copy_begin, SESSION, RAISES)              \
	X(fetch_begin, SESSION, RAISES)             \
	X(fetch_sent, SESSION, RAISES)              \
	X(fetch_woken, SESSION, RAISES)             \
	X(fetch_answered, SESSION, RAISES)          \
	X(fetch_received, SESSION, RAISES)          \
	X(adopt_begin, SESSION, RAISES)             \
	X(adopt_started, SESSION, RAISES)           \
	X(adopt_done, SESSION, RAISES)              \
	X(copy_done, SESSION, RAISES)               \
	/* The proof and the statement. */          \
	X(run_allowed, SESSION, RAISES)             \
	X(run_begin, SESSION, RAISES)               \
	X(proof_begin, SESSION, RAISES)             \
	X(proof_sent, SESSION, RAISES)              \
	X(proof_reset_read, SESSION, RAISES)        \
	X(proof_read, SESSION, RAISES)              \
	X(proof_alone_done, SESSION, RAISES)        \
	X(statement_prepared, SESSION, RAISES)      \
	X(statement_stale, SESSION, RAISES)         \
	X(describe_begin, SESSION, RAISES)          \
	X(describe_read, SESSION, RAISES)           \
	X(run_sent, SESSION, RAISES)                \
	X(wait_begin, SESSION, SILENT)              \
	X(wait_blocked, SESSION, SILENT)            \
	X(run_woken, SESSION, RAISES)               \
	X(run_row, SESSION, RAISES)                 \
	X(run_row_passed, SESSION, RAISES)          \
	X(run_before_sync, SESSION, RAISES)         \
	X(run_before_end, SESSION, RAISES)          \
	X(run_done, SESSION, RAISES)                \
	X(run_again, SESSION, RAISES)               \
	X(backlog_noted, SESSION, SILENT)           \
	X(backlog_read, SESSION, RAISES)            \
	X(run_settle, SESSION, SILENT)              \
	X(run_settled, SESSION, RAISES)             \
	X(columns_described, SESSION, RAISES)       \
	/* Ending a lease. */                       \
	X(close_judge, SESSION, QUIET)              \
	X(close_copy_closed, SESSION, SILENT)       \
	X(prepared_stored_locked, SESSION, SILENT)  \
	X(release_locked, SESSION, SILENT)          \
	X(grant_locked, SESSION, SILENT)            \
	X(rest_locked, SESSION, SILENT)             \
	X(released_locked, SESSION, SILENT)         \
	X(release_wake, SESSION, SILENT)            \
	X(close_keep, SESSION, SILENT)              \
	X(lease_listed, SESSION, RAISES)            \
	X(lease_forget, SESSION, QUIET)             \
	X(pre_commit, SESSION, RAISES)              \
	X(commit, SESSION, QUIET)                   \
	X(abort, SESSION, QUIET)                    \
	X(subcommit, SESSION, QUIET)                \
	X(subabort, SESSION, QUIET)                 \
	X(exit_leases, SESSION, QUIET)              \
	/* Requests. */                             \
	X(request_listed, SESSION, RAISES)          \
	X(request_move, SESSION, RAISES)            \
	X(request_open, SESSION, RAISES)            \
	X(request_start, SESSION, RAISES)           \
	X(request_woken, SESSION, RAISES)           \
	X(request_settled, SESSION, RAISES)         \
	X(request_finish, SESSION, QUIET)           \
	X(request_abandon, SESSION, QUIET)          \
	X(request_commit, SESSION, QUIET)           \
	X(request_abort, SESSION, QUIET)            \
	X(request_subxact, SESSION, QUIET)          \
	X(cancel_placed_locked, SESSION, SILENT)    \
	X(cancel_placed, SESSION, RAISES)           \
	X(cancel_finished, SESSION, RAISES)         \
	X(exit_requests, SESSION, SILENT)           \
	X(exit_forget, SESSION, SILENT)             \
	X(drop_at_commit, SESSION, SILENT)          \
	X(drop_at_abort, SESSION, QUIET)            \
	/* The worker, and what sessions ask it. */ \
	X(worker_begin, START, RAISES)              \
	X(worker_listening, START, RAISES)          \
	X(worker_ready, START, RAISES)              \
	X(worker_round, WORKER, RAISES)             \
	X(worker_exit, WORKER, QUIET)               \
	X(worker_disown_locked, WORKER, SILENT)     \
	X(worker_disowned, WORKER, QUIET)           \
	X(request_begin, WORKER, RAISES)            \
	X(request_allowed, WORKER, RAISES)          \
	X(request_answered, WORKER, RAISES)         \
	X(config_noted, WORKER, RAISES)             \
	X(config_kept, WORKER, RAISES)              \
	/* Connecting. */                           \
	X(connect_claimed, WORKER, RAISES)          \
	X(connect_begin, WORKER, RAISES)            \
	X(connect_started, WORKER, RAISES)          \
	X(connect_event, WORKER, RAISES)            \
	X(connect_ready, WORKER, RAISES)            \
	X(connect_accepted, WORKER, RAISES)         \
	X(connect_offered_locked, WORKER, SILENT)   \
	X(connect_wake, WORKER, SILENT)             \
	X(connect_done, WORKER, RAISES)             \
	X(connect_failed_locked, WORKER, SILENT)    \
	X(connect_failed, WORKER, RAISES)           \
	/* Cancelling for a session. */             \
	X(cancel_taken, WORKER, RAISES)             \
	X(cancel_sent, WORKER, RAISES)              \
	X(cancel_told_locked, WORKER, SILENT)       \
	/* Resets, and closing. */                  \
	X(janitor_decided, WORKER, RAISES)          \
	X(janitor_reclaimed, WORKER, RAISES)        \
	X(drain_begin, WORKER, RAISES)              \
	X(drain_sent, WORKER, RAISES)               \
	X(drain_read, WORKER, RAISES)               \
	X(drain_done, WORKER, RAISES)               \
	X(drain_given_up_locked, WORKER, SILENT)    \
	X(drain_given_up, WORKER, RAISES)           \
	X(reset_begin, WORKER, RAISES)              \
	X(reset_suspended, WORKER, RAISES)          \
	X(reset_sent, WORKER, RAISES)               \
	X(reset_answer, WORKER, RAISES)             \
	X(reset_done, WORKER, RAISES)               \
	X(reset_offered_locked, WORKER, SILENT)     \
	X(reset_failed_locked, WORKER, SILENT)      \
	X(reset_failed, WORKER, RAISES)             \
	X(close_begin, WORKER, RAISES)              \
	X(close_cancel, WORKER, RAISES)             \
	X(close_finish, WORKER, RAISES)             \
	X(close_closed, WORKER, RAISES)             \
	X(close_freed_locked, WORKER, SILENT)       \
	X(remote_closed_locked, WORKER, SILENT)     \
	/* Relaying; only where remotes encrypt. */ \
	X(relay_begun, WORKER, RAISES)              \
	X(relay_event, WORKER, RAISES)              \
	X(relay_read, WORKER, RAISES)               \
	X(relay_moved, WORKER, RAISES)

typedef enum PoolFaultPoint
{
#define POOL_FAULT_ENUM(name, process, kind) POOL_FAULT_##name,
	POOL_FAULT_LIST(POOL_FAULT_ENUM)
#undef POOL_FAULT_ENUM
} PoolFaultPoint;

extern bool pool_fault_unwanted;

extern void pool_fault_init(void);
extern void pool_fault_reach(PoolFaultPoint point);

#define POOL_FAULT_POINT(name) pool_fault_reach(POOL_FAULT_##name)
#define POOL_FAULT_UNWANTED() pool_fault_unwanted

#else

#define POOL_FAULT_POINT(name) ((void) 0)
#define POOL_FAULT_UNWANTED() false

#endif

#endif /* POOL_FAULT_H */
