/*
 * drop_hook.c
 *		Noticing that a server, user mapping or database is dropped.
 *
 * The worker reads no catalog, so the session that drops the object closes its
 * pools: it remembers what is dropped, with the subtransaction, and closes them
 * when the transaction has committed (pool_registry_drop, which takes the locks
 * itself).  If the transaction is prepared instead, nobody closes them, and
 * idle_timeout closes their connections.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "session/drop_hook.h"
#include "shared/registry.h"

/* What this transaction has dropped, and in which subtransaction. */
typedef struct Drop
{
	Oid catalog;
	Oid object;
	SubTransactionId subid;
} Drop;

static object_access_hook_type prev_object_access_hook = NULL;
static List *drops = NIL; /* in TopTransactionContext */

static void
xact_callback(XactEvent event, void *arg)
{
	ListCell *cell;

	if (event == XACT_EVENT_COMMIT)
	{
		foreach (cell, drops)
		{
			Drop *drop = lfirst(cell);

			pool_registry_drop(drop->catalog, drop->object);
		}
	}
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT ||
		event == XACT_EVENT_PREPARE)
		drops = NIL; /* its memory goes with the transaction's */
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mine,
				 SubTransactionId parent, void *arg)
{
	ListCell *cell;

	foreach (cell, drops)
	{
		Drop *drop = lfirst(cell);

		if (drop->subid != mine)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			drop->subid = parent;
		else if (event == SUBXACT_EVENT_ABORT_SUB)
			drops = foreach_delete_current(drops, cell);
	}
}

static void
remember(Oid catalog, Oid object)
{
	static bool registered = false;
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Drop *drop = palloc(sizeof(Drop));

	drop->catalog = catalog;
	drop->object = object;
	drop->subid = GetCurrentSubTransactionId();
	drops = lappend(drops, drop);
	MemoryContextSwitchTo(old);
	if (!registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		registered = true;
	}
}

static void
object_access(ObjectAccessType access, Oid catalog, Oid object, int subobject,
			  void *arg)
{
	if (prev_object_access_hook)
		prev_object_access_hook(access, catalog, object, subobject, arg);
	if (access == OAT_DROP &&
		(catalog == ForeignServerRelationId ||
		 catalog == UserMappingRelationId || catalog == DatabaseRelationId))
		remember(catalog, object);
}

/* Installs the hook.  For _PG_init(), in the postmaster. */
void
pool_drop_hook_install(void)
{
	prev_object_access_hook = object_access_hook;
	object_access_hook = object_access;
}
