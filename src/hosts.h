/*
 * hosts.h
 *		The hosts of a pool, and the addresses that an attempt to connect tries.
 */
#ifndef POOL_HOSTS_H
#define POOL_HOSTS_H

#include "libpq-fe.h"
#include "options.h"

typedef struct PoolHosts PoolHosts;
typedef struct PoolAddresses PoolAddresses;

extern PoolHosts *pool_hosts_make(const PoolConninfo *conninfo);
extern bool pool_hosts_look_up(PoolHosts *hosts);
extern void pool_hosts_free(PoolHosts *hosts);

extern PoolAddresses *pool_addresses_make(PoolHosts *hosts,
										  const char **problem);
extern PGconn *pool_addresses_connect(const PoolAddresses *addresses,
									  const PoolConninfo *conninfo);
extern int pool_addresses_current(const PoolAddresses *addresses,
								  const PGconn *pg);
extern bool pool_addresses_skip(PoolAddresses *addresses, int current);
extern void pool_addresses_free(PoolAddresses *addresses);

#endif /* POOL_HOSTS_H */
