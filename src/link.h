/*
 * link.h
 *		A session's copies of pooled connections.
 */
#ifndef POOL_LINK_H
#define POOL_LINK_H

#include "lib/ilist.h"
#include "libpq-fe.h"
#include "report.h"
#include "shmem.h"
#include "storage/latch.h"
#include "waits.h"

/*
 * One copy.  The session may read or write its socket only while the slot of
 * that generation is leased to it.
 */
typedef struct PoolLink
{
	dlist_node node; /* most recently used first */
	PGconn *pg;
	int slot;
	uint64 generation;
	bool leased;
	bool unproven; /* new: what other copies had read of it is not known */
	bool bulky;	   /* libpq's buffer has grown large */

	/*
	 * From the first byte of a statement sent to the ReadyForQuery read.  A
	 * link that is busy when its lease ends cannot be used by anyone again.
	 */
	bool busy;
	uint64 fingerprint; /* of the parameters as they were at the start */
	PoolNotices notices;
	PGresult *result; /* being looked at; NULL: none */

	WaitEventSet *wait_set;
	int position;	/* of the socket in it */
	uint32 watched; /* the events it waits for there */
} PoolLink;

extern bool pool_link_exists(int slot, uint64 generation);
extern PoolLink *pool_link_get(int slot, uint64 generation, int64 deadline);
extern void pool_link_put(PoolLink *link, bool left_state);
extern void pool_link_close(PoolLink *link);
extern bool pool_link_is_quiet(const PoolLink *link);
extern bool pool_link_wait(PoolLink *link, uint32 events, int64 deadline,
						   PoolWait wait);
extern uint64 pool_link_fingerprint(const PoolLink *link);

#endif /* POOL_LINK_H */
