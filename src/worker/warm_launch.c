/*
 * warm_launch.c
 *		Starting the processes that tell the worker what to warm.
 *
 * What those processes do is in session/warmer.c.
 */
#include "postgres.h"

#include "postmaster/bgworker.h"
#include "utils/varlena.h"

#include "base/guc.h"
#include "worker/warm_launch.h"

static void
launch(const char *database)
{
	BackgroundWorker worker = {.bgw_flags = BGWORKER_SHMEM_ACCESS |
											BGWORKER_BACKEND_DATABASE_CONNECTION,
							   .bgw_start_time = BgWorkerStart_ConsistentState,
							   .bgw_restart_time = BGW_NEVER_RESTART};

	strlcpy(worker.bgw_type, "pool warmer", BGW_MAXLEN);
	snprintf(worker.bgw_name, BGW_MAXLEN, "pool warmer for %s", database);
	strlcpy(worker.bgw_library_name, "pool", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "pool_warmer_main", BGW_MAXLEN);
	strlcpy(worker.bgw_extra, database, BGW_EXTRALEN);
	if (!RegisterDynamicBackgroundWorker(&worker, NULL))
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start a process to warm the pools of database \"%s\"",
						database),
				 errhint("Raise max_worker_processes.")));
}

/*
 * Starts a process for each database of pool.warm_databases; they have the
 * workers fill its pools.  One that cannot be started is a warning.
 */
void
pool_warm_launch(void)
{
	char *names = pstrdup(pool_guc_warm_databases);
	List *databases;
	ListCell *cell;

	if (!SplitIdentifierString(names, ',', &databases))
		return; /* the setting does not accept such a list */
	foreach (cell, databases)
	{
		launch(lfirst(cell));
	}
	list_free(databases);
	pfree(names);
}
