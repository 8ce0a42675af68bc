/*
 * lease.h
 *		One lease: a session's hold on a connection.
 */
#ifndef POOL_LEASE_H
#define POOL_LEASE_H

#include "options/target.h"
#include "session/conn_cache.h"
#include "shared/queue.h"
#include "shared/stats.h"
#include "statement/result.h"
#include "statement/statement.h"

/* When a lease ends by itself. */
typedef enum PoolLeaseScope
{
	POOL_LEASE_STATEMENT,	/* with the function call that took it */
	POOL_LEASE_TRANSACTION, /* with the local transaction */
	POOL_LEASE_HOLD			/* with the session, once that committed */
} PoolLeaseScope;

typedef struct PoolLease
{
	dlist_node node; /* session.c */
	int64 id;
	PoolLeaseScope scope;

	/*
	 * The subtransaction that it ends with if that aborts; Invalid: none, it
	 * is held.
	 */
	SubTransactionId subid;
	Oid userid; /* who took it, and alone may use it */
	char *name; /* of the server, as the user gave it */
	int64 timeout_ms;
	PoolTarget target;
	PoolAcquireRequest request; /* request.slot: the slot, or POOL_NONE */
	PoolCopy *copy;				/* NULL: not fetched yet, or lost */
	bool prove;					/* the handover is still to be proven */
	bool touched;				/* something was sent in this lease */
	bool running;				/* a statement is under way */
	bool left_state;			/* the remote session may not be as before */
} PoolLease;

extern void pool_lease_open(PoolLease *lease, int64 started);
extern void pool_lease_note_holder(const PoolLease *lease);
extern void pool_lease_close(PoolLease *lease, PoolCloseReason reason);
extern PoolCondition pool_lease_condition(const PoolLease *lease);
extern void pool_lease_refuse_if_running(const PoolLease *lease);
extern void pool_lease_run(PoolLease *lease, const PoolStatement *statement,
						   PoolResult *result);

#endif /* POOL_LEASE_H */
