/*
 * session.h
 *		The leases of this session.
 */
#ifndef POOL_SESSION_H
#define POOL_SESSION_H

#include "acquire.h"
#include "link.h"
#include "params.h"
#include "result.h"

/* When a lease ends by itself. */
typedef enum PoolLeaseScope
{
	POOL_LEASE_STATEMENT,	/* with the function call that took it */
	POOL_LEASE_TRANSACTION, /* with the local transaction */
	POOL_LEASE_HOLD			/* with the session, once that committed */
} PoolLeaseScope;

typedef struct PoolLease
{
	dlist_node node;
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
	PoolRequest request; /* request.slot: the slot, or POOL_NONE */
	int64 deadline;		 /* of the acquire, pool_clock_us() */
	PoolLink *link;		 /* NULL: not fetched yet, or lost */
	bool prove;			 /* the handover is still to be proven */
	bool touched;		 /* something was sent in this lease */
	bool running;		 /* a statement is under way */
	bool left_state;	 /* the remote session may not be as before */
} PoolLease;

extern PoolLease *pool_lease_begin(const char *server_name,
								   PoolLeaseScope scope, int64 timeout_ms);
extern PoolLease *pool_lease_find(int64 id);
extern void pool_lease_end(PoolLease *lease);
extern void pool_lease_run(PoolLease *lease, const PoolStatement *statement,
						   PoolResult *result);
extern void pool_run_on_server(const char *server_name,
							   const PoolStatement *statement,
							   PoolResult *result);

#endif /* POOL_SESSION_H */
