/*
 * session.c
 *		The leases of this session: how they begin, run and, on every path,
 *		end.
 *
 * A lease is put into the list before anything is acquired for it.  From then
 * on whatever happens, one of these ends it:
 *
 *		pool_session_release	the normal way
 *		end of transaction		commit or abort
 *		end of subtransaction	abort, for leases begun inside
 *		exit of the session		also after FATAL, when no error is caught
 *
 * Those of scope SESSION, which are not of a transaction, know only the first and
 * the last of these.
 *
 * They all come down to pool_lease_close() in lease.c.
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/fault.h"
#include "session/acquire.h"
#include "session/backlog.h"
#include "session/lease_run.h"
#include "session/session.h"
#include "shared/queue.h"
#include "shared/self.h"
#include "shared/shmem.h"
#include "shared/stats.h"

static dlist_head leases = DLIST_STATIC_INIT(leases);

static void register_callbacks(void);

/* Ends the lease and frees it.  Raises nothing. */
void
pool_session_end_lease(PoolLease *lease, PoolCloseReason reason)
{
	pool_lease_close(lease, reason);
	POOL_FAULT_POINT(lease_forget);
	dlist_delete(&lease->node);
	pool_notifications_clear(&lease->notifications);
	pfree(lease->name);
	pfree(lease);
}

/*
 * Prepares this session for leases.  Raises 25000 in a parallel worker, where nothing
 * of its leader's is at hand.
 */
void
pool_session_prepare(void)
{
	if (IsParallelWorker())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_STATE),
				 errmsg("cannot use pooled connections in a parallel worker"),
				 errhint(
					 "Mark functions that use them as PARALLEL UNSAFE or PARALLEL RESTRICTED.")));
	register_callbacks();
}

/*
 * Puts a lease into the list that has no connection yet.  Raises 25000 in a parallel
 * worker.
 */
PoolLease *
pool_session_list_lease(const char *server_name, PoolLeaseScope scope,
						int64 timeout_ms)
{
	PoolLease *lease;
	char *name;

	pool_session_prepare();
	name = MemoryContextStrdup(TopMemoryContext, server_name);
	lease = MemoryContextAlloc(TopMemoryContext, sizeof(PoolLease));
	memset(lease, 0, offsetof(PoolLease, target));
	pool_prepared_init(&lease->prepared);
	lease->name = name;
	lease->scope = scope;
	lease->subid = scope == POOL_LEASE_SESSION ? InvalidSubTransactionId
											   : GetCurrentSubTransactionId();
	lease->userid = GetUserId();
	lease->timeout_ms = timeout_ms;
	lease->started = pool_clock_us();
	lease->request.slot = POOL_NONE;
	lease->id = (int64) pg_atomic_add_fetch_u64(&pool_shmem->last_lease, 1);
	dlist_push_head(&leases, &lease->node);
	return lease;
}

/* Acquires for a lease that is listed; after an error there is none. */
static void
open_listed(PoolLease *lease, bool note_holder)
{
	PG_TRY();
	{
		POOL_FAULT_POINT(lease_listed);
		if (note_holder)
			pool_lease_note_holder(lease);
		pool_lease_open(lease);
	}
	PG_CATCH();
	{
		pool_session_end_lease(lease, POOL_CLOSE_NONE);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/*
 * Begins a lease of scope SESSION with the rights of a role, which need not be the
 * current one: of the pool of the connection string, or of the server of that name if
 * there is no string.  The string must last as long as the lease.  "lasts": it is not
 * for one statement only, so its holder is noted.  Raises what pool_session_lease()
 * does.
 */
PoolLease *
pool_session_lease_as(Oid role, const char *name, const PoolConnString *string,
					  bool lasts)
{
	PoolLease *lease = pool_session_list_lease(name, POOL_LEASE_SESSION, -1);

	lease->string = string;
	lease->userid = role;
	open_listed(lease, lasts);
	return lease;
}

/*
 * Begins a lease.  timeout_ms as in pool_acquire_slot().  Raises 25000 in a
 * parallel worker, and what pool_lease_open() does; there is no lease then.
 */
PoolLease *
pool_session_lease(const char *server_name, PoolLeaseScope scope,
				   int64 timeout_ms)
{
	PoolLease *lease = pool_session_list_lease(server_name, scope, timeout_ms);

	open_listed(lease, scope != POOL_LEASE_STATEMENT);
	return lease;
}

/*
 * Returns the lease of that number.  Raises 42704 if it is not a lease of this
 * session, 42501 if another user of this session acquired it, 25000 in a
 * parallel worker.
 */
PoolLease *
pool_session_find(int64 id)
{
	dlist_iter iter;

	pool_session_prepare();
	dlist_foreach (iter, &leases)
	{
		PoolLease *lease = dlist_container(PoolLease, node, iter.cur);

		if (lease->id != id || lease->scope == POOL_LEASE_STATEMENT ||
			lease->scope == POOL_LEASE_SESSION)
			continue;
		if (lease->userid != GetUserId())
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for lease " INT64_FORMAT, id),
					 errdetail("It was acquired by another user.")));
		return lease;
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("lease " INT64_FORMAT " does not exist", id),
			 errdetail("A lease belongs to the session that acquired it, "
					   "and ends with pool_release() or with the transaction."),
			 errhint(
				 "Acquire with hold => true to keep a lease beyond the transaction.")));
	return NULL;
}

/* Is that a lease of this session that ends only when it is released? */
bool
pool_session_is_held(int64 id)
{
	dlist_iter iter;

	dlist_foreach (iter, &leases)
	{
		const PoolLease *lease = dlist_container(PoolLease, node, iter.cur);

		if (lease->id == id)
			return lease->scope == POOL_LEASE_HOLD ||
				   lease->scope == POOL_LEASE_SESSION;
	}
	return false;
}

/* Ends a lease.  Raises what pool_lease_refuse_if_running() does. */
void
pool_session_release(PoolLease *lease)
{
	pool_lease_refuse_if_running(lease);
	pool_session_end_lease(lease, POOL_CLOSE_NONE);
}

/*
 * Runs a statement on any connection to the server, which commits by itself.
 * Raises what pool_session_lease() and pool_lease_run() do, and 25000 when it
 * opened a transaction and left it open.
 */
void
pool_session_run(const char *server_name, const PoolStatement *statement,
				 PoolResult *result)
{
	PoolLease *lease = pool_session_lease(server_name, POOL_LEASE_STATEMENT, -1);

	pool_lease_run(lease, statement, result);
	pool_session_release(lease);
}

/*
 * Warns of leases that end with this transaction while one is open on the
 * remote: its changes are lost, although this one commits.
 */
static void
warn_of_rollbacks(void)
{
	dlist_iter iter;

	dlist_foreach (iter, &leases)
	{
		PoolLease *lease = dlist_container(PoolLease, node, iter.cur);

		if (lease->scope == POOL_LEASE_TRANSACTION &&
			lease->subid != InvalidSubTransactionId &&
			(pool_lease_condition(lease) == POOL_CONDITION_IN_TRANSACTION ||
			 pool_backlog_in_transaction(lease)))
			ereport(WARNING,
					(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
					 errmsg("lease " INT64_FORMAT
							" ends with an open transaction on server \"%s\"",
							lease->id, NameStr(lease->target.server_name)),
					 errdetail("The remote transaction is rolled back.")));
	}
}

/*
 * Raises 0A000: a lease belongs to a session, a prepared transaction to none.  Those
 * of scope SESSION have nothing to do with transactions.
 */
static void
refuse_prepare(void)
{
	dlist_iter iter;

	dlist_foreach (iter, &leases)
	{
		if (dlist_container(PoolLease, node, iter.cur)->scope ==
			POOL_LEASE_SESSION)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg(
					 "cannot PREPARE a transaction while a pooled connection is leased"),
				 errhint("Call pool_release() first.")));
	}
}

/* Ends the leases of the transaction; at commit, those with hold stay. */
static void
end_of_transaction(bool commit)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify (iter, &leases)
	{
		PoolLease *lease = dlist_container(PoolLease, node, iter.cur);

		if (lease->subid == InvalidSubTransactionId)
			continue;
		if (commit && lease->scope == POOL_LEASE_HOLD)
			lease->subid = InvalidSubTransactionId;
		else
			pool_session_end_lease(lease, POOL_CLOSE_NONE);
	}
}

static void
xact_callback(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			POOL_FAULT_POINT(pre_commit);
			warn_of_rollbacks();
			break;
		case XACT_EVENT_PRE_PREPARE:
			refuse_prepare();
			break;
		case XACT_EVENT_COMMIT:
			POOL_FAULT_POINT(commit);
			end_of_transaction(true);
			break;
		case XACT_EVENT_ABORT:
			POOL_FAULT_POINT(abort);
			end_of_transaction(false);
			break;
		default:
			break;
	}
}

static void
subxact_callback(SubXactEvent event, SubTransactionId mine,
				 SubTransactionId parent, void *arg)
{
	dlist_mutable_iter iter;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	dlist_foreach_modify (iter, &leases)
	{
		PoolLease *lease = dlist_container(PoolLease, node, iter.cur);

		if (lease->subid != mine)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
		{
			POOL_FAULT_POINT(subcommit);
			lease->subid = parent;
		}
		else
		{
			POOL_FAULT_POINT(subabort);
			pool_session_end_lease(lease, POOL_CLOSE_NONE);
		}
	}
}

/* Ends the wait and the leases of a session that exits.  Raises nothing. */
static void
session_exit(int code, Datum arg)
{
	pool_acquire_abandon();
	POOL_FAULT_POINT(exit_leases);
	while (!dlist_is_empty(&leases))
		pool_session_end_lease(dlist_head_element(PoolLease, node, &leases),
							   POOL_CLOSE_HOLDER_EXITED);
}

static void
register_callbacks(void)
{
	static bool registered = false;

	if (registered)
		return;
	(void) pool_self(); /* its exit comes after this one's */
	RegisterXactCallback(xact_callback, NULL);
	RegisterSubXactCallback(subxact_callback, NULL);
	before_shmem_exit(session_exit, (Datum) 0);
	registered = true;
}
