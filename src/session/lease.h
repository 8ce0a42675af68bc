/*
 * lease.h
 *		One lease: a session's hold on a connection.
 */
#ifndef POOL_LEASE_H
#define POOL_LEASE_H

#include "options/conn_string.h"
#include "options/target.h"
#include "session/conn_cache.h"
#include "session/run.h"
#include "shared/prepared.h"
#include "shared/queue.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "statement/notifications.h"

/* When a lease ends by itself. */
typedef enum PoolLeaseScope
{
	POOL_LEASE_STATEMENT,	/* with the function call that began it */
	POOL_LEASE_TRANSACTION, /* with the local transaction */
	POOL_LEASE_HOLD,		/* with the session, once that committed */
	POOL_LEASE_SESSION		/* with the session; no number finds it */
} PoolLeaseScope;

typedef struct PoolLease
{
	dlist_node node; /* in the list of session.c */
	int64 id;
	PoolLeaseScope scope;

	/*
	 * The subtransaction that it ends with if that aborts.  Invalid: the lease
	 * is held beyond the transaction that began it, which has committed.
	 */
	SubTransactionId subid;
	Oid userid;					  /* who acquired it, and alone may use it */
	char *name;					  /* of the server, as the user gave it */
	const PoolConnString *string; /* instead of a server, for as long; or NULL */
	int64 timeout_ms;			  /* of acquiring, as in pool_acquire_slot() */
	int64 started; /* when the session began to acquire, pool_clock_us() */
	PoolAcquireRequest request; /* request.slot: the slot, or POOL_NONE */
	PoolCopy *copy;				/* NULL: there is none yet, or no more */
	bool prove;					/* the handover is still to be proven */
	bool touched;				/* something was sent in this lease */
	bool running;				/* a statement is under way */
	bool left_state;			/* the remote session may not be as before */
	bool silent;				/* the remote did not answer in time */
	bool unwanted;				/* as POOL_CONDITION_UNREAD asks for */
	bool noted;					/* "holder" is filled in */
	bool has_request;			/* one of request.c is under way on it */
	bool holds;					/* state of the remote session that its user
								 * counts on; scope SESSION only */
	PoolNotifications notifications; /* scope SESSION only */
	PoolBacklog backlog;			 /* of the statement before */
	PoolCloseReason closed;			 /* why it has no connection any more */

	/*
	 * Large, and filled in when they are needed; a new lease has zeros only up to
	 * here.  "prepared" is what the connection has prepared, from when there is
	 * a slot; "holder" is to be told of each slot.
	 */
	PoolTarget target;
	PoolPreparedCopy prepared;
	PoolHolder holder;
} PoolLease;

extern void pool_lease_open(PoolLease *lease);
extern bool pool_lease_adopt(PoolLease *lease, int64 deadline);
extern void pool_lease_note_holder(PoolLease *lease);
extern void pool_lease_close(PoolLease *lease, PoolCloseReason reason);
extern PoolCondition pool_lease_condition(const PoolLease *lease);
extern void pool_lease_refuse_if_running(const PoolLease *lease);
extern bool pool_lease_is_reclaimed(const PoolLease *lease);
extern bool pool_lease_begin_statement(PoolLease *lease);
extern void pool_lease_end_statement(PoolLease *lease);

#endif /* POOL_LEASE_H */
