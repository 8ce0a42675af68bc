/*
 * activity_views.c
 *		What pool_connections, pool_waiters and pool_requests show: which session
 *		holds which connection, which ones wait, and what they have asked for.
 *
 * A slot, or the queue of a pool, is copied under the pool's lock and made into
 * rows outside it; so each row, and each queue, is of one moment, and so are all
 * requests.  Columns are in the order of the functions of these names in
 * sql/pool--1.0.sql and sql/pool--1.0--1.1.sql.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"

#include "shared/pool.h"
#include "shared/queue.h"
#include "shared/request_entry.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "sql/view_row.h"

PG_FUNCTION_INFO_V1(pool_sql_connections);
PG_FUNCTION_INFO_V1(pool_sql_waiters);
PG_FUNCTION_INFO_V1(pool_sql_requests);

/* Copies a pool without its statistics.  Needs the lock. */
static void
copy_without_stats(const Pool *pool, Pool *copy)
{
	POOL_ASSERT_LOCKED_SHARED(pool);
	memcpy(copy, pool, offsetof(Pool, stats));
}

/*
 * Whether the caller may see where a lease was acquired.  That shows statements
 * of its session, so the rules of pg_stat_activity hold; and in another database
 * the text can have another encoding.
 */
static bool
may_see_context(const Pool *pool, const PoolSlot *slot)
{
	return slot->state == POOL_SLOT_LEASED && OidIsValid(slot->holder.userid) &&
		   pool->key.database == MyDatabaseId &&
		   (has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
			has_privs_of_role(GetUserId(), slot->holder.userid));
}

/* The columns after those that name the pool. */
static void
put_slot(PoolViewRow *row, const Pool *pool, int number, const PoolSlot *slot)
{
	bool leased = slot->state == POOL_SLOT_LEASED;

	pool_view_row_put(row, Int32GetDatum(number));
	pool_view_row_put_text(row, pool_slot_state_name(slot->state));
	pool_view_row_put_pid(row, leased ? slot->owner.pid : 0);
	pool_view_row_put_clock(row, slot->since);
	pool_view_row_put_clock(row, slot->opened);
	pool_view_row_put(row, UInt64GetDatum(slot->uses));
	pool_view_row_put_name(row, slot->remote_address, pool->encoding);
	pool_view_row_put_pid(row, slot->remote_pid);
	if (slot->opened != 0)
		pool_view_row_put(row, BoolGetDatum(slot->tls_version[0] != '\0'));
	else
		pool_view_row_put_null(row);
	pool_view_row_put_text(row, slot->tls_version);
	pool_view_row_put_text(row, slot->tls_cipher);
	pool_view_row_put(row, BoolGetDatum(leased && slot->leaked));
	pool_view_row_put_text(row, may_see_context(pool, slot) ? slot->holder.context
															: NULL);
	pool_view_row_put_text(row,
						   slot->close_reason != POOL_CLOSE_NONE
							   ? pool_stats_close_reason_name(slot->close_reason)
							   : NULL);
}

/* A row for each slot in use of the pools that the caller may see. */
Datum
pool_sql_connections(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Pool *pool_copy = palloc(sizeof(Pool));
	PoolSlot *slot_copy = palloc(sizeof(PoolSlot));

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolViewRow row = {.n = 0};
		int place = pool_shmem_slots[i].pool; /* compared under the lock */
		Pool *pool;

		if (place == POOL_NONE)
			continue;
		pool = &pool_shmem_pools[place];
		LWLockAcquire(&pool->lock, LW_SHARED);
		copy_without_stats(pool, pool_copy);
		memcpy(slot_copy, &pool_shmem_slots[i], sizeof(PoolSlot));
		LWLockRelease(&pool->lock);
		if (slot_copy->pool != place || !pool_view_row_is_visible(pool_copy))
			continue;

		pool_view_row_put_identity(&row, pool_copy);
		put_slot(&row, pool_copy, i, slot_copy);
		pool_view_row_store(&row, rsinfo);
	}
	return (Datum) 0;
}

/* Copies a pool and its waiters in their order; returns how many wait. */
static int
copy_queue(Pool *pool, Pool *pool_copy, PoolWaiter *waiters)
{
	int n = 0;

	LWLockAcquire(&pool->lock, LW_SHARED);
	copy_without_stats(pool, pool_copy);
	for (int at = pool->waiter_head; at != POOL_NONE;
		 at = pool_shmem_waiters[at].next)
		waiters[n++] = pool_shmem_waiters[at];
	LWLockRelease(&pool->lock);
	return n;
}

/* A row for each session in a queue of the pools that the caller may see. */
Datum
pool_sql_waiters(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Pool *pool_copy = palloc(sizeof(Pool));
	PoolWaiter *waiters = palloc(sizeof(PoolWaiter) * pool_shmem->nwaiters);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		int n = copy_queue(&pool_shmem_pools[i], pool_copy, waiters);

		if (n == 0 || !pool_view_row_is_visible(pool_copy))
			continue;
		for (int at = 0; at < n; at++)
		{
			PoolViewRow row = {.n = 0};

			pool_view_row_put_identity(&row, pool_copy);
			pool_view_row_put(&row, Int32GetDatum(at + 1));
			pool_view_row_put(&row, Int32GetDatum(waiters[at].session.pid));
			pool_view_row_put_clock(&row, waiters[at].since);
			pool_view_row_put(&row, Int32GetDatum(waiters[at].priority));
			pool_view_row_store(&row, rsinfo);
		}
	}
	return (Datum) 0;
}

/*
 * A row for each request of the roles whose rights the caller has; members of
 * pg_read_all_stats see all.
 */
Datum
pool_sql_requests(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	PoolRequestEntry *entries =
		palloc(sizeof(PoolRequestEntry) * Max(pool_shmem->nrequests, 1));
	bool sees_all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	int here = GetDatabaseEncoding();
	int n;

	InitMaterializedSRF(fcinfo, 0);
	n = pool_request_entry_copy(entries);
	for (int i = 0; i < n; i++)
	{
		const PoolRequestEntry *entry = &entries[i];
		PoolViewRow row = {.n = 0};

		if (!sees_all && !has_privs_of_role(GetUserId(), entry->userid))
			continue;
		pool_view_row_put(&row, UInt64GetDatum(entry->id));
		pool_view_row_put(&row, Int32GetDatum(entry->session.pid));
		pool_view_row_put_name(&row, get_database_name(entry->database), here);
		pool_view_row_put_name(&row, GetUserNameFromId(entry->userid, true),
							   here);
		pool_view_row_put_name(&row, NameStr(entry->server), entry->encoding);
		pool_view_row_put_text(&row,
							   pool_request_entry_state_name(entry->state));
		pool_view_row_put_clock(&row, entry->since);
		pool_view_row_store(&row, rsinfo);
	}
	return (Datum) 0;
}
