/*
 * config.h
 *		How the worker is to connect, for each pool.
 */
#ifndef POOL_CONFIG_H
#define POOL_CONFIG_H

#include "options/conninfo.h"
#include "shared/pool.h"
#include "worker/hosts.h"
#include "worker/listener.h"

extern void pool_config_init(void);
extern bool pool_config_accept(const PoolListenerMessage *message, int worker);
extern const PoolConninfo *pool_config_of(const Pool *pool, uint64 pool_id);
extern PoolHosts *pool_config_hosts(const Pool *pool);
extern void pool_config_wipe(const Pool *pool);

#endif /* POOL_CONFIG_H */
