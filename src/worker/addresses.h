/*
 * addresses.h
 *		The addresses that an attempt to connect tries.
 */
#ifndef POOL_ADDRESSES_H
#define POOL_ADDRESSES_H

#include "libpq-fe.h"

#include "options/conninfo.h"
#include "worker/hosts.h"

typedef struct PoolAddresses PoolAddresses;

extern PoolAddresses *pool_addresses_make(PoolHosts *hosts,
										  const char **problem);
extern PGconn *pool_addresses_connect(const PoolAddresses *addresses,
									  const PoolConninfo *conninfo);
extern int pool_addresses_current(const PoolAddresses *addresses,
								  const PGconn *pg);
extern int pool_addresses_left(const PoolAddresses *addresses);
extern bool pool_addresses_skip(PoolAddresses *addresses, int current);
extern void pool_addresses_describe(const PGconn *pg, char *address,
									size_t size);
extern void pool_addresses_free(PoolAddresses *addresses);

#endif /* POOL_ADDRESSES_H */
