/*
 * lookup.h
 *		Looking up a host name without waiting for the name server.
 */
#ifndef POOL_LOOKUP_H
#define POOL_LOOKUP_H

#include <netdb.h>

typedef struct PoolLookup PoolLookup;

extern pgsocket pool_lookup_init(void);
extern void pool_lookup_clear_event(void);
extern PoolLookup *pool_lookup_begin(const char *name, char *problem,
									 size_t size);
extern bool pool_lookup_is_done(PoolLookup *lookup);
extern const struct addrinfo *pool_lookup_result(const PoolLookup *lookup,
												 char *problem, size_t size);
extern void pool_lookup_end(PoolLookup *lookup);
extern void pool_lookup_at_exit(int code, Datum arg);

#endif /* POOL_LOOKUP_H */
