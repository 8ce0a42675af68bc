/*
 * checker.c
 *		The process that compares the pools with the catalogs.
 *
 * A session that drops a server tells of it (pending_drop.c).  Nobody tells when
 * a hot standby replays a drop, or when a prepared transaction with one is
 * committed; and what should go wrong in telling must not last.  So each pool
 * has the time when its rows were seen last (Pool.confirmed).  An acquire
 * resolves the server's name, and so confirms the pool; for one that nobody has
 * confirmed for a while a worker starts this process (worker/check_launch.c).
 *
 * One process, connected to no database, finds out which databases exist, since
 * to connect to one that does not would be an error in the log each time.  It
 * drops the pools of those that are gone, and for each of the others starts
 * another process, one after the other.  That one looks up the rows of its
 * database's pools, drops the pools without them, and confirms the rest.  It
 * lasts for some milliseconds, which DROP DATABASE waits for.
 *
 * A pool of a connection string has no rows that could be gone: its connections are
 * closed when nobody has used them for a minute.
 *
 * Rows that were not committed are not seen from here.  A transaction that made
 * them, and does not ask for its pool for so long, has to make it once more.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_database.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/guc.h"
#include "options/target.h"
#include "session/checker.h"
#include "shared/launch.h"
#include "shared/pool.h"
#include "shared/registry.h"
#include "shared/shmem.h"

/* A pool that nobody has confirmed. */
typedef struct Candidate
{
	Pool *pool;
	uint64 id;
	PoolKey key;
} Candidate;

/*
 * The pools of a database, or of all for InvalidOid, that were not confirmed for
 * half the interval: those that will soon be due are looked at with those that
 * are.
 */
static List *
find_candidates(Oid database)
{
	int64 interval = pool_clock_from_ms(pool_guc_catalog_check_interval);
	int64 before = pool_clock_us() - interval / 2;
	List *candidates = NIL;

	for (int i = 0; i < pool_shmem->npools; i++)
	{
		Pool *pool = &pool_shmem_pools[i];
		Candidate candidate = {.pool = pool};

		LWLockAcquire(&pool->lock, LW_SHARED);
		if (!pool->dropped && pool->confirmed < before &&
			!pool_target_is_string(&pool->key))
			candidate.id = pool->id;
		candidate.key = pool->key;
		LWLockRelease(&pool->lock);
		if (candidate.id != 0 &&
			(!OidIsValid(database) || candidate.key.database == database))
		{
			Candidate *copy = palloc(sizeof(Candidate));

			*copy = candidate;
			candidates = lappend(candidates, copy);
		}
	}
	return candidates;
}

/* Those that can be connected to; one whose DROP DATABASE broke off cannot. */
static List *
find_databases(void)
{
	List *databases = NIL;
	MemoryContext caller = CurrentMemoryContext;
	Relation catalog;
	SysScanDesc scan;
	HeapTuple row;

	StartTransactionCommand();
	catalog = table_open(DatabaseRelationId, AccessShareLock);
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(row = systable_getnext(scan)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(row);
		MemoryContext old = MemoryContextSwitchTo(caller);

		if (form->datconnlimit != POOL_INVALID_DATABASE)
			databases = lappend_oid(databases, form->oid);
		MemoryContextSwitchTo(old);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return databases;
}

/* Has the pools of one database compared; waits until that is done. */
static void
check_elsewhere(Oid database)
{
	BackgroundWorkerHandle *handle = pool_launch_checker(database);

	if (handle == NULL)
		return;
	(void) WaitForBackgroundWorkerShutdown(handle);
	pfree(handle);
}

/* Compares the pools of all databases. */
static void
check_all(void)
{
	List *candidates = find_candidates(InvalidOid);
	List *databases;
	List *checked = NIL;
	ListCell *cell;

	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	databases = find_databases();
	foreach (cell, candidates)
	{
		Candidate *candidate = lfirst(cell);
		Oid database = candidate->key.database;

		CHECK_FOR_INTERRUPTS();
		if (!list_member_oid(databases, database))
			pool_registry_discard(candidate->pool, candidate->id);
		else if (!list_member_oid(checked, database))
		{
			checked = lappend_oid(checked, database);
			check_elsewhere(database);
		}
	}
}

/* Compares the pools of one database. */
static void
check_database(Oid database)
{
	MemoryContext context = CurrentMemoryContext;
	List *candidates;
	ListCell *cell;
	int64 now;

	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid,
											  BGWORKER_BYPASS_ALLOWCONN);

	/* A lock on a catalog must not keep the other databases from being checked. */
	SetConfigOption("lock_timeout", "1s", PGC_SUSET, PGC_S_OVERRIDE);

	MemoryContextSwitchTo(context);
	candidates = find_candidates(database);
	now = pool_clock_us();
	StartTransactionCommand();
	foreach (cell, candidates)
	{
		Candidate *candidate = lfirst(cell);

		if (pool_target_exists(&candidate->key))
			pool_registry_confirm(candidate->pool, candidate->id, now);
		else
			pool_registry_discard(candidate->pool, candidate->id);
	}
	CommitTransactionCommand();
}

/* Where the process begins; "arg" is its database, or InvalidOid. */
void
pool_checker_main(Datum arg)
{
	Oid database = DatumGetObjectId(arg);

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	MemoryContextSwitchTo(TopMemoryContext); /* it does not last */
	if (OidIsValid(database))
		check_database(database);
	else
		check_all();
	proc_exit(0);
}
