/*
 * feed.h
 *		What libpq reads while it connects, in portions.
 */
#ifndef POOL_FEED_H
#define POOL_FEED_H

#include "libpq-fe.h"

/* How much a remote may send before it is ready, in kB. */
#define POOL_FEED_MAX_KB 64

typedef struct PoolFeed
{
	pgsocket remote; /* PGINVALID_SOCKET: libpq has it itself */
	pgsocket inner;	 /* our end of the pair; libpq has the other */
	int bytes;		 /* that have come by this way */
} PoolFeed;

extern void pool_feed_init(PoolFeed *feed);
extern bool pool_feed_keep_up(PoolFeed *feed, PGconn *conn);
extern bool pool_feed_refill(PoolFeed *feed);
extern bool pool_feed_has_more(const PoolFeed *feed, PGconn *conn);
extern uint32 pool_feed_send(PoolFeed *feed);
extern void pool_feed_end(PoolFeed *feed, pgsocket restore_to);

#endif /* POOL_FEED_H */
