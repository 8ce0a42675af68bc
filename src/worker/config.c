/*
 * config.c
 *		How the worker is to connect, for each pool.
 *
 * A session that finds that the worker does not know a pool's options, or not
 * as the catalogs have them now, sends them (acquire.c).  They are kept here,
 * in memory of the worker alone, and wiped when they are replaced or the pool
 * goes.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "options/options.h"
#include "options/target.h"
#include "shared/autoscale.h"
#include "shared/breaker.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "shared/wire.h"
#include "worker/config.h"

/* By pool index.  The password is here and nowhere else. */
typedef struct PoolConfig
{
	uint64 pool_id;
	MemoryContext context;
	char *block; /* all strings, to wipe them */
	Size block_size;
	PoolConninfo conninfo;
	PoolHosts *hosts;
} PoolConfig;

static PoolConfig *configs;

/*
 * Once, when the worker starts.  The environment of the server must not lend
 * its PG* variables to connections: what a connection is made of comes from
 * SQL alone.
 */
void
pool_config_init(void)
{
	PQconninfoOption *options = PQconndefaults();

	configs = MemoryContextAllocZero(TopMemoryContext,
									 sizeof(PoolConfig) * pool_shmem->npools);
	for (PQconninfoOption *option = options; option && option->keyword; option++)
	{
		if (option->envvar)
			unsetenv(option->envvar);
	}
	PQconninfoFree(options);
	unsetenv("PGREQUIRESSL"); /* an old name of PGSSLMODE=require */
	unsetenv("PGSERVICE");
	unsetenv("PGSERVICEFILE");
	unsetenv("PGSYSCONFDIR");
	unsetenv("PGDATESTYLE");
	unsetenv("PGTZ");
	unsetenv("PGGEQO");
}

static bool
same_config(const PoolConfig *config, const PoolListenerRequest *request)
{
	if (config->conninfo.count * 2 != request->head.nstrings)
		return false;
	for (int i = 0; i < config->conninfo.count; i++)
	{
		if (strcmp(config->conninfo.keywords[i], request->strings[2 * i]) != 0 ||
			strcmp(config->conninfo.values[i], request->strings[2 * i + 1]) != 0)
			return false;
	}
	return true;
}

/* How to connect for the pool; NULL if its options are not known here. */
const PoolConninfo *
pool_config_of(const Pool *pool, uint64 pool_id)
{
	const PoolConfig *config = &configs[pool_index(pool)];

	return config->pool_id == pool_id ? &config->conninfo : NULL;
}

/* The hosts in it.  Only if pool_config_of() knows the pool. */
PoolHosts *
pool_config_hosts(const Pool *pool)
{
	return configs[pool_index(pool)].hosts;
}

/* Forgets it, and leaves no password behind. */
void
pool_config_wipe(const Pool *pool)
{
	PoolConfig *config = &configs[pool_index(pool)];

	if (config->hosts)
		pool_hosts_free(config->hosts);
	if (config->context)
	{
		explicit_bzero(config->block, config->block_size);
		MemoryContextDelete(config->context);
	}
	memset(config, 0, sizeof(*config));
}

static void
keep_config(const Pool *pool, const PoolListenerRequest *request)
{
	PoolConfig *config = &configs[pool_index(pool)];
	int n = request->head.nstrings;
	PoolHosts *hosts = config->hosts;
	char *at;

	config->hosts = NULL;
	pool_config_wipe(pool);
	config->context = AllocSetContextCreate(TopMemoryContext, "pool options",
											ALLOCSET_SMALL_SIZES);
	config->pool_id = request->head.pool_id;
	config->conninfo.count = n / 2;
	config->block_size = 1;
	for (int i = 0; i < n; i++)
		config->block_size += strlen(request->strings[i]) + 1;
	at = config->block = MemoryContextAlloc(config->context, config->block_size);
	config->conninfo.keywords =
		MemoryContextAllocZero(config->context, sizeof(char *) * (n / 2 + 1));
	config->conninfo.values =
		MemoryContextAllocZero(config->context, sizeof(char *) * (n / 2 + 1));
	for (int i = 0; i < n; i++)
	{
		strcpy(at, request->strings[i]);
		if (i % 2 == 0)
			config->conninfo.keywords[i / 2] = at;
		else
			config->conninfo.values[i / 2] = at;
		at += strlen(at) + 1;
	}
	config->hosts = pool_hosts_make(&config->conninfo, hosts);
	if (hosts != NULL && hosts != config->hosts)
		pool_hosts_free(hosts);
}

/* No connection made with the old options is used again.  Needs the lock. */
static void
outdate_connections(Pool *pool)
{
	pool_breaker_reset(pool);
	memset(&pool->last_error, 0, sizeof(pool->last_error));
	pool_slot_retire_all(pool, POOL_CLOSE_CONFIG_CHANGED);
}

/*
 * A session tells how a pool's connections are to be made.  It has checked the
 * rights of its user, and the worker that it is a session; here the request
 * has to be about the pool that is in that place, or one user's connections
 * would be made for another's pool.  Returns false if it is not.
 */
bool
pool_config_accept(const PoolListenerRequest *request, int worker)
{
	const PoolMessage *head = &request->head;
	PoolConfig *config;
	Pool *pool;
	bool known;
	bool changed;

	if (head->pool < 0 || head->pool >= pool_shmem->npools ||
		head->nstrings % 2 != 0)
		return false;
	pool = &pool_shmem_pools[head->pool];
	config = &configs[head->pool];
	if (pool_worker_number(pool) != worker)
		return false;

	changed = config->pool_id != head->pool_id || !same_config(config, request);
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	known = pool->id == head->pool_id && pool->id != 0 && !pool->dropped &&
			pool_target_key_equal(&pool->key, &head->target.key);
	if (known)
	{
		PoolOptions old = pool->options;

		if (!pool_target_stamp_equal(&pool->stamp, &head->target.stamp))
			pool->resized = false;
		pool->stamp = head->target.stamp;
		pool->options = head->target.options;
		if (pool->resized)
		{
			pool->options.min_size = old.min_size;
			pool->options.max_size = old.max_size;
		}
		pool_autoscale_begin(pool);
		pool->server_name = head->target.server_name;
		pool->user_name = head->target.user_name;
		pool->database_name = head->target.database_name;
		if (changed || !pool->configured)
			outdate_connections(pool);
		pool_slot_close_surplus(pool);
		pool->configured = true;
	}
	LWLockRelease(&pool->lock);
	if (known && changed)
		keep_config(pool, request);
	return known;
}
