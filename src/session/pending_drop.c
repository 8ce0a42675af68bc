/*
 * pending_drop.c
 *		Pools that go when the transaction ends.
 *
 * The worker reads no catalog, so the session that changes one closes the pools
 * that have lost their rows there (pool_registry_drop, which takes the locks
 * itself).  Until its transaction ends it remembers, with the subtransaction:
 *
 *	- the servers, mappings and databases that it drops, whose pools go at
 *	  commit.  They go after the locks: by then others have been sent the
 *	  invalidation messages (xact.c), while at XACT_EVENT_COMMIT they could still
 *	  make the pool anew from what they have cached.  What they have read before
 *	  that, pool_locate_look_up() asks again;
 *	- the mappings that it made and has used, whose pools go at abort.  If only
 *	  the server's row were its own there would be no mapping for it.
 *
 * A prepared transaction belongs to no session: with mappings that it has used
 * it is refused, and its drops are found out by the comparison with the
 * catalogs (checker.c), as is all that this should miss.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_database.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/fault.h"
#include "session/pending_drop.h"
#include "shared/registry.h"

/* An object whose pools go with the end of the subtransaction. */
typedef struct PendingDrop
{
	Oid catalog;
	Oid object;
	bool at_commit; /* else at abort */
	SubTransactionId subid;
} PendingDrop;

static object_access_hook_type prev_object_access_hook = NULL;
static List *drops = NIL; /* in TopTransactionContext */

/* Raises 0A000 if a mapping that nobody else can see yet has a pool. */
static void
refuse_prepare(void)
{
	ListCell *cell;

	foreach (cell, drops)
	{
		PendingDrop *drop = lfirst(cell);

		if (!drop->at_commit)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg(
						 "cannot PREPARE a transaction that has used a user mapping of its own"),
					 errhint(
						 "Commit the CREATE USER MAPPING before you use it.")));
	}
}

static void
xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_PREPARE)
		refuse_prepare();
	else if (event == XACT_EVENT_PREPARE)
		drops = NIL; /* its memory goes with the transaction's */
}

/* At the end of the transaction, when it is too late for errors. */
static void
resource_callback(ResourceReleasePhase phase, bool is_commit, bool is_top,
				  void *arg)
{
	ListCell *cell;

	if (phase != RESOURCE_RELEASE_AFTER_LOCKS || !is_top)
		return;
	foreach (cell, drops)
	{
		PendingDrop *drop = lfirst(cell);

		if (drop->at_commit != is_commit)
			continue;
		if (is_commit)
			POOL_FAULT_POINT(drop_at_commit);
		else
			POOL_FAULT_POINT(drop_at_abort);
		pool_registry_drop(drop->catalog, drop->object);
	}
	drops = NIL; /* its memory goes with the transaction's */
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mine,
				 SubTransactionId parent, void *arg)
{
	ListCell *cell;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	foreach (cell, drops)
	{
		PendingDrop *drop = lfirst(cell);

		if (drop->subid != mine)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
		{
			drop->subid = parent;
			continue;
		}
		if (!drop->at_commit)
			pool_registry_drop(drop->catalog, drop->object);
		drops = foreach_delete_current(drops, cell);
	}
}

static void
register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
	RegisterResourceReleaseCallback(resource_callback, NULL);
	registered = true;
}

static void
remember(Oid catalog, Oid object, bool at_commit)
{
	MemoryContext old;
	PendingDrop *drop;

	register_callbacks();
	old = MemoryContextSwitchTo(TopTransactionContext);
	drop = palloc(sizeof(PendingDrop));
	drop->catalog = catalog;
	drop->object = object;
	drop->at_commit = at_commit;
	drop->subid = GetCurrentSubTransactionId();
	drops = lappend(drops, drop);
	MemoryContextSwitchTo(old);
}

/*
 * Has the pools of a mapping dropped if the current subtransaction, which can
 * see a row of it that was not committed, is rolled back.  To be called before
 * there is a pool.
 */
void
pool_pending_drop_at_abort(Oid mapping)
{
	ListCell *cell;

	/* What a subtransaction around this one has noted goes no later. */
	foreach (cell, drops)
	{
		PendingDrop *drop = lfirst(cell);

		if (!drop->at_commit && drop->object == mapping)
			return;
	}
	remember(UserMappingRelationId, mapping, false);
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
		remember(catalog, object, true);
}

/* Installs the hook for drops.  For _PG_init(), in the postmaster. */
void
pool_pending_drop_install(void)
{
	prev_object_access_hook = object_access_hook;
	object_access_hook = object_access;
}
