/*
 * slot.h
 *		One connection's place in shared memory, its states, and the only
 *		function that changes them.
 *
 *	state		owner of the socket	leaves for
 *	FREE		none				CONNECTING	pool_free_list_claim
 *	CONNECTING	worker				IDLE, LEASED (to a waiter), CLOSING
 *	IDLE		none				LEASED, CHECKING, CLOSING
 *	LEASED		one session			IDLE, LEASED (to a waiter), RETURNED, CLOSING
 *	CHECKING	worker				IDLE, LEASED (to a waiter), CLOSING
 *	RETURNED	none				RESETTING, CLOSING
 *	RESETTING	worker				IDLE, LEASED (to a waiter), CLOSING
 *	CLOSING		worker				FREE	pool_free_list_add
 *
 * At any moment at most one process reads or writes a connection's socket, and
 * that is the owner that this table names.
 *
 * A slot on its way to IDLE goes to the first waiter instead, if there is one, and
 * unless it rests (tenure.c): then the move is straight to LEASED
 * (pool_queue_offer() in queue.h).
 */
#ifndef POOL_SLOT_H
#define POOL_SLOT_H

#include "port/atomics.h"

#include "shared/prepared.h"
#include "shared/self.h"
#include "shared/shmem.h"
#include "shared/stats.h"

struct Pool;

#define POOL_ADDRESS_LEN 128
#define POOL_TLS_NAME_LEN 48
#define POOL_CONTEXT_LEN 512

typedef enum PoolSlotState
{
	POOL_SLOT_FREE,
	POOL_SLOT_CONNECTING,
	POOL_SLOT_IDLE,
	POOL_SLOT_LEASED,
	POOL_SLOT_CHECKING,
	POOL_SLOT_RETURNED, /* released, and to be reset before its next lease */
	POOL_SLOT_RESETTING,
	POOL_SLOT_CLOSING
} PoolSlotState;

#define POOL_NSLOT_STATES (POOL_SLOT_CLOSING + 1)

/* A session's order to cancel what runs on its lease; see cancel_order.c. */
typedef enum PoolCancelOrder
{
	POOL_CANCEL_ORDER_NONE,
	POOL_CANCEL_ORDER_PLACED,
	POOL_CANCEL_ORDER_TAKEN, /* by the worker */
	POOL_CANCEL_ORDER_SENT,
	POOL_CANCEL_ORDER_FAILED /* it could not be sent */
} PoolCancelOrder;

/*
 * Whose statements have left their state in a connection: a session's, in one
 * local role.  A session in another role is another user, since what roles share
 * (a mapping FOR PUBLIC) must not show the one what the other left behind.
 */
typedef struct PoolUser
{
	uint64 session; /* its serial; 0: nobody */
	int procno;
	Oid role;
} PoolUser;

/* Who acquired a connection by pool_acquire(), and where in its code. */
typedef struct PoolHolder
{
	Oid userid; /* of the session; InvalidOid: nothing is known */
	NameData user;
	NameData application;
	char context[POOL_CONTEXT_LEN]; /* as errors print it */
} PoolHolder;

/*
 * Each group of fields names who writes it.  The owner of the socket, as the
 * state names it, may read what it wrote itself without a lock.
 */
typedef struct PoolSlot
{
	/*
	 * Place and state.  Written by pool_slot_move() and its callers here and in
	 * free_list.c under the pool's lock, and the registry's as well from and to
	 * FREE; read under either.
	 */
	PoolSlotState state;
	int pool;			  /* index, POOL_NONE while FREE */
	int prev;			  /* in the idle list */
	int next;			  /* in the idle list, or the list of FREE */
	PoolSessionRef owner; /* of LEASED */
	int64 since;		  /* pool_clock_us() of the last move */
	int64 opened;		  /* when it became usable */
	int64 returned;		  /* when its last lease ended, or it was opened */
	uint64 uses;		  /* leases so far */

	/*
	 * Changes whenever a slot leaves FREE and is never used again, so that a
	 * copy or a lease that outlived its connection is seen to be stale.
	 * Written with both locks, read without one by sessions that look for stale
	 * copies.
	 */
	pg_atomic_uint64 generation;

	/* What is known of the state.  Written under the pool's lock. */
	bool retry;			/* CONNECTING: after an attempt that failed */
	bool remote_closed; /* LEASED: closed by the remote, or cut by its worker */
	bool leaked;		/* LEASED: found to be held for too long */
	bool in_transaction; /* RETURNED: roll back first */
	bool unread;		 /* RETURNED, RESETTING: a statement may be running */
	bool cancel;		 /* CLOSING: a statement is still running */
	bool reclaimed;		 /* CLOSING: a session may not know it */
	bool silent;		 /* CLOSING: the remote did not answer in time */
	PoolCancelOrder cancel_order; /* LEASED: of its session */

	/*
	 * Not NONE: the connection is retired, to be closed instead of being leased
	 * again.  In CLOSING it is the reason.  Written under the pool's lock.
	 */
	PoolCloseReason close_reason;

	/*
	 * Who may go on without the handover's proof and reset: who was last to use
	 * it, and had both; nobody if that was the worker.  Written by a session
	 * under the pool's lock when it releases the slot, by the worker as the
	 * owner of the socket.
	 */
	PoolUser last_user;

	/* What it has prepared.  Who writes it, and how: prepared.c. */
	PoolPrepared prepared;

	/*
	 * Tenure; see tenure.c.  Times are pool_clock_us().  Written under the pool's
	 * lock.
	 */
	int64 tenure_end; /* until when its session may go on while others wait */
	int64 rest_end;	  /* IDLE: kept for its last user until then, or 0 */
	int priority;	  /* of the session that has or had the lease */

	/*
	 * Written by the owner of the socket, without the lock: has a statement run
	 * since the last reset, and when did the remote last answer, in
	 * pool_clock_us()?
	 */
	bool used;
	int64 heard;

	/*
	 * LEASED.  For what ends a lease that lasts too long; see holder.c.  The
	 * atomics are written by its session without the lock: whether a statement is
	 * running, when the last one ended, pool_clock_us(), and until when a request
	 * may run that nobody looks after; and who has the lease, with the lock.
	 */
	pg_atomic_uint64 statement;
	pg_atomic_uint64 last_use;
	pg_atomic_uint64 attended;
	PoolHolder holder;

	/* Written by the worker under the pool's lock, when it has connected. */
	double jitter; /* its share of lifetime_jitter, 0 to 1 */
	int remote_pid;
	char remote_address[POOL_ADDRESS_LEN];
	char tls_version[POOL_TLS_NAME_LEN]; /* empty: it is not encrypted */
	char tls_cipher[POOL_TLS_NAME_LEN];
} PoolSlot;

#define pool_slot_index(slot) ((int) ((slot) -pool_shmem_slots))

extern const char *pool_slot_state_name(PoolSlotState state);
extern void pool_slot_move(struct Pool *pool, PoolSlot *slot, PoolSlotState to);
extern bool pool_slot_was_used_by(const PoolSlot *slot, uint64 session,
								  Oid role);
extern void pool_slot_lease(struct Pool *pool, PoolSlot *slot,
							const PoolSessionRef *session, Oid role);
extern void pool_slot_retire(struct Pool *pool, PoolSlot *slot,
							 PoolCloseReason reason);
extern void pool_slot_retire_all(struct Pool *pool, PoolCloseReason reason);
extern void pool_slot_note_leaked(struct Pool *pool, PoolSlot *slot);
extern void pool_slot_close(struct Pool *pool, PoolSlot *slot,
							PoolCloseReason reason, bool cancel);
extern void pool_slot_reclaim(struct Pool *pool, PoolSlot *slot,
							  PoolCloseReason reason);
extern void pool_slot_give_up(struct Pool *pool, PoolSlot *slot,
							  PoolCloseReason reason);
extern void pool_slot_close_surplus(struct Pool *pool);
extern int64 pool_slot_busy_us(const struct Pool *pool, int64 now);
extern bool pool_slot_is(const PoolSlot *slot, const struct Pool *pool,
						 uint64 generation, PoolSlotState state);
extern void pool_slot_restart_counts(struct Pool *pool);
extern void pool_slot_note_remote_closed(struct Pool *pool, PoolSlot *slot);
extern int pool_slot_count_open(const struct Pool *pool);
extern int pool_slot_count_live(const struct Pool *pool);
extern int pool_slot_count_all(const struct Pool *pool);
extern int pool_slot_count_limited(const struct Pool *pool);

#endif /* POOL_SLOT_H */
