/*
 * endpoint.c
 *		Starts the process that serves metrics by HTTP, if pool.metrics_listen says
 *		where.
 *
 * Its code, src/http, is in a module of its own, since it needs libraries that have
 * no business in all other processes: the postmaster does not load the module, that
 * process does.  What the module needs of this library it finds by a rendezvous
 * variable, so that it depends on no symbol here.
 */
#include "postgres.h"

#include "fmgr.h"
#include "postmaster/bgworker.h"

#include "base/guc.h"
#include "metrics/endpoint.h"
#include "metrics/exposition.h"
#include "shared/shmem.h"

/* In seconds; also how often a port that is taken is tried. */
#define RESTART_TIME 10

static PoolEndpoint endpoint = {.version = POOL_ENDPOINT_VERSION};

/* The number of a pool worker that does not run, from 1; 0: all do. */
static int
stopped_worker(void)
{
	for (int i = 0; i < pool_shmem->nworkers; i++)
	{
		if (pg_atomic_read_u32(&pool_shmem->worker_procno[i]) ==
			(uint32) POOL_NONE)
			return i + 1;
	}
	return 0;
}

/* Called by _PG_init() in the postmaster. */
void
pool_endpoint_register(void)
{
	BackgroundWorker worker = {.bgw_flags = BGWORKER_SHMEM_ACCESS,
							   .bgw_start_time = BgWorkerStart_ConsistentState,
							   .bgw_restart_time = RESTART_TIME};

	if (!pool_listen_address_parse(pool_guc_metrics_listen, &endpoint.listen))
		return; /* it is off, and nothing else was let in */
	if (!endpoint.listen.loopback)
		ereport(WARNING,
				(errmsg("pool metrics are served on \"%s\" to whoever can connect",
						pool_guc_metrics_listen),
				 errdetail("There is no authentication and no encryption."),
				 errhint(
					 "Set pool.metrics_listen to an address of the loopback "
					 "interface, or let a firewall decide who can connect.")));
	endpoint.setting = pool_guc_metrics_listen;
	endpoint.append_metrics = pool_exposition_append;
	endpoint.stopped_worker = stopped_worker;
	*find_rendezvous_variable(POOL_ENDPOINT_VARIABLE) = &endpoint;

	strlcpy(worker.bgw_type, "pool metrics", BGW_MAXLEN);
	strlcpy(worker.bgw_name, "pool metrics", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "$libdir/" POOL_METRICS_LIBRARY,
			BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "pool_http_main", BGW_MAXLEN);
	RegisterBackgroundWorker(&worker);
}
