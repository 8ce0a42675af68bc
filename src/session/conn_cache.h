/*
 * conn_cache.h
 *		A session's cache of its copies of pooled connections.
 */
#ifndef POOL_CONN_CACHE_H
#define POOL_CONN_CACHE_H

#include "lib/ilist.h"
#include "libpq-fe.h"

#include "shared/queue.h"
#include "statement/remote_report.h"

/*
 * One copy: a PGconn around this session's own descriptor of the connection's
 * socket.  The session may read or write the socket only while the slot of that
 * generation is leased to it.
 */
typedef struct PoolCopy
{
	dlist_node node; /* most recently used first */
	PGconn *pg;
	int slot;
	uint64 generation;
	bool leased;   /* in use by a lease, not to be closed by the cache */
	bool unproven; /* new: what other sessions have read from it is not known */
	bool bulky;	   /* libpq's buffers have grown large */

	/*
	 * From the first byte of a statement sent to the ReadyForQuery read.  A
	 * copy that is busy when its lease ends cannot be used by anyone again.
	 */
	bool busy;
	uint64 fingerprint; /* of the settings as they were at the start */
	bool readable;		/* with those, text means the same here */
	PoolNotices notices;
	PGresult *result; /* being passed on; NULL: none */
} PoolCopy;

extern int pool_conn_cache_find(PoolCopySuits suits,
								const PoolAcquireRequest *request);
extern PoolCopy *pool_conn_cache_get(int *leased, uint64 generation,
									 int64 deadline);
extern void pool_conn_cache_make_room(void);
extern void pool_conn_cache_note_size(PoolCopy *copy, size_t bytes);
extern void pool_conn_cache_keep(PoolCopy *copy, bool left_state);
extern void pool_conn_cache_close(PoolCopy *copy);
extern bool pool_conn_cache_is_quiet(const PoolCopy *copy);
extern uint64 pool_conn_cache_fingerprint(const PoolCopy *copy);
extern const char *pool_conn_cache_misread(const PoolCopy *copy);

#endif /* POOL_CONN_CACHE_H */
