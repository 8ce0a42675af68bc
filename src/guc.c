/*
 * guc.c
 *		The settings, all named pool.something.
 *
 * Those that size the shared memory are read once, when the server starts.
 * A backend can also load the library on its own, to run the validator while
 * a dump is restored for example; then only the others are defined, because
 * a PGC_POSTMASTER setting can no longer be made.
 */
#include "postgres.h"

#include <limits.h>

#include "miscadmin.h"
#include "utils/guc.h"

#include "guc.h"

int pool_guc_max_connections = 100;
int pool_guc_max_pools = 64;
int pool_guc_session_cache = 8;
int pool_guc_acquire_timeout = -1;
bool pool_guc_log_connections = false;

static void
define_sizes(void)
{
	DefineCustomIntVariable("pool.max_connections",
							"Sets the number of connections of all pools together.",
							NULL, &pool_guc_max_connections, 100, 1, 10000,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("pool.max_pools", "Sets the number of pools.",
							"A pool serves one user mapping of one server.",
							&pool_guc_max_pools, 64, 1, 10000, PGC_POSTMASTER,
							0, NULL, NULL, NULL);
}

void
pool_guc_init(void)
{
	if (process_shared_preload_libraries_in_progress)
		define_sizes();

	DefineCustomIntVariable(
		"pool.session_cache",
		"Sets how many connections a session keeps open for its next lease.",
		"The session only keeps descriptors; the connections stay shared.",
		&pool_guc_session_cache, 8, 1, 1000, PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("pool.acquire_timeout",
							"Sets the longest wait for a connection.",
							"-1 uses the option of the server or user mapping.",
							&pool_guc_acquire_timeout, -1, -1, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomBoolVariable("pool.log_connections",
							 "Logs each connection that is opened or closed.",
							 NULL, &pool_guc_log_connections, false, PGC_SIGHUP,
							 0, NULL, NULL, NULL);

	MarkGUCPrefixReserved("pool");
}
