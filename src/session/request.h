/*
 * request.h
 *		A statement that is sent without waiting for its answer.
 */
#ifndef POOL_REQUEST_H
#define POOL_REQUEST_H

#include "session/acquire.h"
#include "session/lease_run.h"
#include "shared/request_entry.h"

typedef struct PoolRequest
{
	dlist_node node; /* in the session's list, in the order of sending */
	uint64 id;
	PoolRequestState state;
	MemoryContext context;	 /* this, and what hangs on it */
	PoolRequestEntry *entry; /* what other sessions see of it */
	char *server_name;

	/*
	 * The subtransaction that it ends with if that aborts; invalid as that of its
	 * lease, which is held.
	 */
	SubTransactionId subid;
	Oid userid;	   /* who sent it, and alone may use it */
	bool internal; /* of a function that is under way; pool_result() knows none */
	bool hedge;	   /* and made since another server was slow */
	PoolStatement *statement;
	PoolResult *result;
	int64 deadline; /* for all of it, pool_clock_us() */
	int64 away;		/* microseconds that its session was elsewhere */

	/*
	 * Not done: the lease that it runs on, or NULL if it has not begun to acquire
	 * one.  "own": it was made for this request, and ends with it.
	 */
	PoolLease *lease;
	bool own;
	Pool *pool;		  /* NULL: it has not begun */
	int64 held_lease; /* its number if it is not its own, else 0 */

	/* WAITING, and has begun. */
	PoolAcquire acquire;
	int64 look_again; /* pool_clock_us() */

	/* RUNNING. */
	PoolLeaseRun run;
	bool watched;	 /* its socket is in the event set ... */
	int events;		 /* ... for these events of poll() */
	bool ready;		 /* and was ready for them */
	bool unattended; /* for longer than it may be; the worker has seen that */

	/* Done. */
	uint64 finished;  /* the later, the greater */
	ErrorData *error; /* FAILED */
} PoolRequest;

extern dlist_head pool_request_list;
extern uint64 pool_request_finished;

extern PoolRequest *pool_request_make(const char *server_name, PoolLease *lease,
									  const PoolStatement *statement,
									  int result_kb);
extern bool pool_request_is_done(const PoolRequest *request);
extern bool pool_request_is_unknown(const PoolRequest *request);
extern void pool_request_note(PoolRequest *request, PoolRequestState state);
extern void pool_request_watch(PoolRequest *request);
extern void pool_request_unwatch(PoolRequest *request);
extern void pool_request_finish(PoolRequest *request, PoolRequestState state);
extern void pool_request_fail(PoolRequest *request, void (*raise)(void *));
extern void pool_request_stop(PoolRequest *request);
extern void pool_request_break(PoolRequest *request);
extern ErrorData *pool_request_error(const PoolRequest *request);
extern void pool_request_abandon(PoolRequest *request);
extern void pool_request_free(PoolRequest *request);
extern void pool_request_let_go(PoolRequest *request);
extern void pool_request_refuse_if_being_read(const PoolRequest *request);
extern PoolRequest *pool_request_find(int64 id);

#endif /* POOL_REQUEST_H */
