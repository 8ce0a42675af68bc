/*
 * warm_launch.c
 *		Starting the processes that tell the worker what to warm.
 *
 * What those processes do is in session/warmer.c.
 */
#include "postgres.h"

#include "utils/varlena.h"

#include "base/guc.h"
#include "shared/launch.h"
#include "worker/warm_launch.h"

static void
launch(const char *database)
{
	BackgroundWorkerHandle *handle =
		pool_launch("pool warmer", "pool_warmer_main", (Datum) 0, database);

	if (handle == NULL)
		ereport(WARNING,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("could not start a process to warm the pools of database \"%s\"",
						database),
				 errhint("Raise max_worker_processes.")));
	else
		pfree(handle);
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
