/*
 * config.c
 *		How the worker is to connect, for each pool.
 *
 * A session that finds that the worker does not know a pool's options, or not
 * as the catalogs have them now, sends them (session/acquire.c).  They are kept
 * here, in memory of the worker alone, and wiped when they are replaced or the
 * pool goes.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/fault.h"
#include "options/options.h"
#include "options/target.h"
#include "shared/autoscale.h"
#include "shared/breaker.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "shared/wire.h"
#include "worker/config.h"

/* By pool index.  The password is kept here and nowhere else. */
typedef struct PoolConfig
{
	uint64 pool_id;
	MemoryContext context;
	char *block; /* all strings together, to wipe them */
	Size block_size;
	PoolConninfo conninfo;
	PoolHosts *hosts;
} PoolConfig;

static PoolConfig *configs;

/*
 * Called once, when the worker starts.  libpq must not take PG* variables of the
 * server's environment for connections: what a connection is made of comes from
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
	unsetenv("PGSERVICEFILE");
	unsetenv("PGSYSCONFDIR");
	unsetenv("PGDATESTYLE");
	unsetenv("PGTZ");
	unsetenv("PGGEQO");
}

/* Are the options in the message those that are kept? */
static bool
same_config(const PoolConfig *config, const PoolListenerMessage *message)
{
	if (config->conninfo.count * 2 != message->head.nstrings)
		return false;
	for (int i = 0; i < config->conninfo.count; i++)
	{
		if (strcmp(config->conninfo.keywords[i], message->strings[2 * i]) != 0 ||
			strcmp(config->conninfo.values[i], message->strings[2 * i + 1]) != 0)
			return false;
	}
	return true;
}

/*
 * Returns how to connect for the pool of that id; NULL if its options are not
 * known here.
 */
const PoolConninfo *
pool_config_of(const Pool *pool, uint64 pool_id)
{
	const PoolConfig *config = &configs[pool_index(pool)];

	return config->pool_id == pool_id ? &config->conninfo : NULL;
}

/* Returns the hosts of a pool that pool_config_of() knows. */
PoolHosts *
pool_config_hosts(const Pool *pool)
{
	return configs[pool_index(pool)].hosts;
}

/* Forgets how to connect for the pool, and wipes it from memory. */
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

/* Keeps the options in the message, in the place of what was kept. */
static void
keep_config(const Pool *pool, const PoolListenerMessage *message)
{
	PoolConfig *config = &configs[pool_index(pool)];
	int n = message->head.nstrings;
	PoolHosts *hosts = config->hosts;
	char *at;

	config->hosts = NULL;
	pool_config_wipe(pool);
	config->context = AllocSetContextCreate(TopMemoryContext, "pool options",
											ALLOCSET_SMALL_SIZES);
	config->pool_id = message->head.pool_id;
	config->conninfo.count = n / 2;
	config->block_size = 1;
	for (int i = 0; i < n; i++)
		config->block_size += strlen(message->strings[i]) + 1;
	at = config->block = MemoryContextAlloc(config->context, config->block_size);
	config->conninfo.keywords =
		MemoryContextAllocZero(config->context, sizeof(char *) * (n / 2 + 1));
	config->conninfo.values =
		MemoryContextAllocZero(config->context, sizeof(char *) * (n / 2 + 1));
	for (int i = 0; i < n; i++)
	{
		strcpy(at, message->strings[i]);
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

/*
 * Retires all connections, which were made with the old options, and forgets
 * what they have failed with.  Needs the pool's lock.
 */
static void
retire_connections(Pool *pool)
{
	POOL_ASSERT_LOCKED(pool);

	pool_breaker_reset(pool);
	memset(&pool->last_error, 0, sizeof(pool->last_error));
	pool_slot_retire_all(pool, POOL_CLOSE_CONFIG_CHANGED);
}

/*
 * Sets the pool's options to those in the message.  Needs both locks.
 */
static void
set_options(Pool *pool, const PoolTarget *target)
{
	PoolOptions old = pool->options;

	POOL_ASSERT_REGISTRY_LOCKED();
	POOL_ASSERT_LOCKED(pool);

	if (!pool_target_stamp_equal(&pool->stamp, &target->stamp))
	{
		pool->resized = false;
		pg_atomic_write_u32(&pool->statements_lost, 0);
	}
	pool->stamp = target->stamp;
	pool->limited_role = target->stamp.limited_role;
	pool->options = target->options;
	if (pool->resized)
	{
		pool->options.min_size = old.min_size;
		pool->options.max_size = old.max_size;
	}
	pool_autoscale_begin(pool);
	pool->server_name = target->server_name;
	pool->user_name = target->user_name;
	pool->database_name = target->database_name;
}

/*
 * Takes over how a pool's connections are to be made, as a session tells.  It
 * has checked the rights of its user, and the caller that it is a session; here
 * the message has to be about the pool that is in that place, or one user's
 * connections would be made for another's pool.  Returns false if it is not.
 */
bool
pool_config_accept(const PoolListenerMessage *message, int worker)
{
	const PoolMessage *head = &message->head;
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

	changed = config->pool_id != head->pool_id || !same_config(config, message);
	LWLockAcquire(&pool_shmem->registry_lock, LW_EXCLUSIVE);
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	known = pool->id == head->pool_id && pool->id != 0 && !pool->dropped &&
			pool_target_key_equal(&pool->key, &head->target.key);
	if (known)
	{
		set_options(pool, &head->target);
		if (changed || !pool->configured)
			retire_connections(pool);
		pool_slot_close_surplus(pool);
		pool->configured = true;
	}
	LWLockRelease(&pool->lock);
	LWLockRelease(&pool_shmem->registry_lock);
	POOL_FAULT_POINT(config_noted);
	if (known && changed)
		keep_config(pool, message);
	POOL_FAULT_POINT(config_kept);
	return known;
}
