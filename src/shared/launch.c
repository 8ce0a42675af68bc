/*
 * launch.c
 *		Starting the short-lived processes of the pool.
 *
 * The worker is connected to no database, so what needs a catalog is done by a
 * process that ends when it has done it: session/warmer.c, session/checker.c.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "shared/launch.h"
#include "shared/shmem.h"

/*
 * Starts a process at that function of this library, which gets the argument and
 * finds "extra" in MyBgworkerEntry.  This process is notified of its begin and
 * end.  Returns NULL if max_worker_processes leaves no place; raises nothing but
 * that memory is exhausted.
 */
BackgroundWorkerHandle *
pool_launch(const char *type, const char *function, Datum arg, const char *extra)
{
	BackgroundWorker worker = {.bgw_flags = BGWORKER_SHMEM_ACCESS |
											BGWORKER_BACKEND_DATABASE_CONNECTION,
							   .bgw_start_time = BgWorkerStart_ConsistentState,
							   .bgw_restart_time = BGW_NEVER_RESTART,
							   .bgw_main_arg = arg,
							   .bgw_notify_pid = MyProcPid};
	BackgroundWorkerHandle *handle;

	strlcpy(worker.bgw_type, type, BGW_MAXLEN);
	if (extra[0] != '\0')
		snprintf(worker.bgw_name, BGW_MAXLEN, "%s for %s", type, extra);
	else
		strlcpy(worker.bgw_name, type, BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "pool", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, function, BGW_MAXLEN);
	strlcpy(worker.bgw_extra, extra, BGW_EXTRALEN);
	return RegisterDynamicBackgroundWorker(&worker, &handle) ? handle : NULL;
}

/*
 * Starts the process that compares the pools of a database with its catalogs;
 * InvalidOid: the one that does it for all databases.  Returns NULL if there is
 * no place for it.  The log is told so once, until it works again.
 */
BackgroundWorkerHandle *
pool_launch_checker(Oid database)
{
	BackgroundWorkerHandle *handle =
		pool_launch("pool checker", "pool_checker_main",
					ObjectIdGetDatum(database), "");

	if (handle == NULL)
	{
		if (pg_atomic_exchange_u32(&pool_shmem->check_failed, 1) == 0)
			ereport(WARNING,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("could not start a process to compare the pools "
							"with the catalogs"),
					 errdetail("Pools whose server or user mapping was dropped "
							   "elsewhere stay until it can be started."),
					 errhint("Raise max_worker_processes.")));
	}
	else if (OidIsValid(database)) /* it comes last */
		pg_atomic_write_u32(&pool_shmem->check_failed, 0);
	return handle;
}
