/*
 * warmer.c
 *		The process that has pools filled before anybody asks.
 *
 * The pool worker is connected to no database, so it learns how to connect from
 * the first session that uses a pool.  For each database that
 * pool.warm_databases names, this process is that session: it tells the workers
 * the options of all pools with a min_size, as if the role of the user mapping
 * had called, and ends.  The workers then fill those pools as they always do.
 * It is started with the first worker, and with each one that takes the place of
 * another (worker/warm_launch.c).
 *
 * A mapping FOR PUBLIC names no role whose rights could be checked, so its pool
 * waits for the first caller.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_user_mapping.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/varlena.h"

#include "base/clock.h"
#include "base/compat.h"
#include "options/catalog.h"
#include "options/target.h"
#include "session/acquire.h"
#include "session/as_user.h"
#include "session/warmer.h"

/* How long a pool worker may take to note options; it may just be starting. */
#define CONFIGURE_TIMEOUT_MS 30000

/* A user mapping, whose pool may have to be filled. */
typedef struct Mapping
{
	Oid server;
	Oid user;
} Mapping;

/* All user mappings of roles in this database, in the caller's memory context. */
static List *
find_mappings(void)
{
	List *mappings = NIL;
	MemoryContext caller = CurrentMemoryContext;
	Relation catalog;
	SysScanDesc scan;
	HeapTuple row;

	StartTransactionCommand();
	catalog = table_open(UserMappingRelationId, AccessShareLock);
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(row = systable_getnext(scan)))
	{
		Form_pg_user_mapping form = (Form_pg_user_mapping) GETSTRUCT(row);
		MemoryContext old = MemoryContextSwitchTo(caller);
		Mapping *mapping = palloc(sizeof(Mapping));

		mapping->server = form->umserver;
		mapping->user = form->umuser;
		if (OidIsValid(mapping->user))
			mappings = lappend(mappings, mapping);
		MemoryContextSwitchTo(old);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return mappings;
}

/* Has the mapping's pool a min_size, and may that role use it?  Its server's name, too. */
static bool
is_wanted(const Mapping *mapping, char **server_name)
{
	ForeignServer *server =
		GetForeignServerExtended(mapping->server, FSV_MISSING_OK);
	UserMapping *user;

	if (server == NULL ||
		pool_server_aclcheck(mapping->server, mapping->user) != ACLCHECK_OK)
		return false;
	user = GetUserMapping(mapping->user, mapping->server);
	*server_name = server->servername;
	return pool_catalog_value(server->options, "min_size") != NULL ||
		   pool_catalog_value(user->options, "min_size") != NULL;
}

/* Tells the worker the options of one pool, with the rights of its role. */
static void
warm_pool(const Mapping *mapping)
{
	char *server_name;
	PoolTarget target;
	uint64 pool_id;
	PoolAsUser before;

	StartTransactionCommand();
	if (is_wanted(mapping, &server_name))
	{
		pool_as_user_begin(mapping->user, &before);
		(void) pool_acquire_configured(server_name, &target,
									   pool_clock_after_ms(CONFIGURE_TIMEOUT_MS),
									   &pool_id);
		pool_as_user_end(&before);
	}
	CommitTransactionCommand();
}

/* Warms one pool; an error is only logged, so that the others are warmed, too. */
static void
try_to_warm(const Mapping *mapping)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		warm_pool(mapping);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		EmitErrorReport();
		FlushErrorState();
		AbortCurrentTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

/* Why this process connects to the database, which may not exist. */
static void
tell_setting(void *arg)
{
	errcontext("warming the pools of a database that pool.warm_databases names");
}

/* Where the process begins; bgw_extra names its database. */
void
pool_warmer_main(Datum arg)
{
	ErrorContextCallback context = {.previous = error_context_stack,
									.callback = tell_setting};
	ListCell *cell;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	error_context_stack = &context;
	BackgroundWorkerInitializeConnection(MyBgworkerEntry->bgw_extra, NULL, 0);
	error_context_stack = context.previous;
	MemoryContextSwitchTo(AllocSetContextCreate(TopMemoryContext, "pool warmer",
												ALLOCSET_DEFAULT_SIZES));
	foreach (cell, find_mappings())
	{
		try_to_warm(lfirst(cell));
	}
	proc_exit(0);
}
