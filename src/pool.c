/*
 * pool.c
 *		The module's entry point, and nothing else.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "base/guc.h"
#include "metrics/endpoint.h"
#include "options/conn_string.h"
#include "session/pending_drop.h"
#include "shared/shmem.h"
#include "worker/worker.h"

PG_MODULE_MAGIC;

void _PG_init(void);

void
_PG_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pool must be loaded when the server starts"),
				 errdetail(
					 "A dump with the extension can be restored only into such a server, too."),
				 errhint("Add \"pool\" to shared_preload_libraries in postgresql.conf "
						 "and restart the server.")));

	pool_guc_init();
	pool_conn_string_init();
	pool_shmem_install_hooks();
	pool_worker_register();
	pool_endpoint_register();
	pool_pending_drop_install();
}
