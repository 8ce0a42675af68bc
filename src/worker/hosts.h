/*
 * hosts.h
 *		The hosts that a pool's options name, and their addresses.
 */
#ifndef POOL_HOSTS_H
#define POOL_HOSTS_H

#include "nodes/pg_list.h"

#include "options/conninfo.h"
#include "worker/lookup.h"

/* One host of the list. */
typedef struct PoolHost
{
	char *host;		/* may be empty */
	char *hostaddr; /* may be empty */
	char *port;

	/* Of a name: */
	bool is_name;
	int same_as;		/* an earlier entry with that name, or -1 */
	PoolLookup *lookup; /* under way */
	bool known;			/* the two below are of the look-up under way */
	List *addresses;	/* of char *; NIL: none was found */
	char problem[128];	/* why none was found */
} PoolHost;

typedef struct PoolHosts
{
	MemoryContext context;
	char *origin;	   /* the options it was made from */
	int64 fresh_until; /* no need to look up before then, pool_clock_us() */
	int count;		   /* 0: libpq is to read the options itself */
	PoolHost list[FLEXIBLE_ARRAY_MEMBER];
} PoolHosts;

extern PoolHosts *pool_hosts_make(const PoolConninfo *conninfo,
								  PoolHosts *before);
extern bool pool_hosts_look_up(PoolHosts *hosts);
extern void pool_hosts_free(PoolHosts *hosts);

#endif /* POOL_HOSTS_H */
