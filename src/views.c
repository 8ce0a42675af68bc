/*
 * views.c
 *		What pool_stats and pool_connections show.
 *
 * Each row is copied under the pool's lock and made into a tuple outside it.
 * A caller sees the pools of the mappings that are its own, members of
 * pg_read_all_stats see all.
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "commands/dbcommands.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "breaker.h"
#include "compat.h"
#include "slot.h"

PG_FUNCTION_INFO_V1(pool_stats);
PG_FUNCTION_INFO_V1(pool_connections);

/* Appends columns to a row one after the other. */
typedef struct RowBuilder
{
	Datum values[64];
	bool nulls[64];
	int n;
} RowBuilder;

static void
put(RowBuilder *row, Datum value)
{
	Assert(row->n < (int) lengthof(row->values));
	row->nulls[row->n] = false;
	row->values[row->n++] = value;
}

static void
put_null(RowBuilder *row)
{
	Assert(row->n < (int) lengthof(row->values));
	row->values[row->n] = (Datum) 0;
	row->nulls[row->n++] = true;
}

static void
put_text(RowBuilder *row, const char *text)
{
	if (text != NULL && text[0] != '\0')
		put(row, CStringGetTextDatum(text));
	else
		put_null(row);
}

static void
put_time(RowBuilder *row, TimestampTz time)
{
	if (time != 0)
		put(row, TimestampTzGetDatum(time));
	else
		put_null(row);
}

/* Adds the row to the function's result. */
static void
put_row(RowBuilder *row, ReturnSetInfo *rsinfo)
{
	if (row->n != rsinfo->setDesc->natts)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg(
					 "extension pool in this database does not fit the loaded library"),
				 errhint("Use ALTER EXTENSION pool UPDATE.")));
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row->values,
						 row->nulls);
}

/* The wall clock's time of a moment of pool_clock_us(); 0 stays 0. */
static TimestampTz
wall_time(int64 clock_us)
{
	if (clock_us == 0)
		return 0;
	return GetCurrentTimestamp() - (pool_clock_us() - clock_us);
}

/* May the caller see that pool? */
static bool
visible(const Pool *pool)
{
	Oid me = GetUserId();

	if (has_privs_of_role(me, ROLE_PG_READ_ALL_STATS))
		return true;
	if (OidIsValid(pool->mapping_user))
		return has_privs_of_role(me, pool->mapping_user);

	/* FOR PUBLIC: whoever may use the server shares the pool. */
	return pool->key.database == MyDatabaseId && !pool->dropped &&
		   SearchSysCacheExists1(FOREIGNSERVEROID, pool->key.server) &&
		   pool_server_aclcheck(pool->key.server, me) == ACLCHECK_OK;
}

static void
put_identity(RowBuilder *row, const Pool *pool)
{
	put_text(row, get_database_name(pool->key.database));
	put_text(row, NameStr(pool->server_name));
	put_text(row, OidIsValid(pool->mapping_user)
					  ? GetUserNameFromId(pool->mapping_user, true)
					  : "public");
}

static const char *
pool_state_name(const Pool *pool)
{
	if (pool->dropped)
		return "dropped";
	if (pool->pause != POOL_PAUSE_NONE)
		return "paused";
	if (!pool->configured)
		return "unconfigured";
	return pool->failures > 0 ? "failing" : "ready";
}

static void
put_sizes(RowBuilder *row, const Pool *pool)
{
	const int *n = pool->nslots;

	put(row, Int32GetDatum(pool->options.min_size));
	put(row, Int32GetDatum(pool->options.max_size));
	put(row, Int32GetDatum(pool->limit));
	put(row, Int32GetDatum(pool_open_slots(pool)));
	put(row, Int32GetDatum(n[POOL_SLOT_LEASED]));
	put(row, Int32GetDatum(n[POOL_SLOT_IDLE]));
	put(row, Int32GetDatum(n[POOL_SLOT_CHECKING] + n[POOL_SLOT_RETURNED] +
						   n[POOL_SLOT_RESETTING]));
	put(row, Int32GetDatum(n[POOL_SLOT_CONNECTING]));
	put(row, Int32GetDatum(n[POOL_SLOT_CLOSING]));
	put(row, Int32GetDatum(pool->nwaiting));
	put(row, Int32GetDatum(pool->peak_active));
	put_text(row, pool_breaker_name(pool->breaker));
	put_time(row, pool->breaker_opened_at);
}

/* The counters in the order of their enum, then the reasons for closing. */
static void
put_counters(RowBuilder *row, PoolStats *stats)
{
	for (int i = 0; i < POOL_NCOUNTERS; i++)
		put(row, UInt64GetDatum(pg_atomic_read_u64(&stats->counters[i])));

	/* An attempt that failed never was a connection: see connect_errors. */
	for (int i = POOL_CLOSE_CONNECT_FAILED + 1; i < POOL_NCLOSE_REASONS; i++)
		put(row, UInt64GetDatum(pg_atomic_read_u64(&stats->closed[i])));
}

/*
 * A row for each pool.
 */
Datum
pool_stats(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Pool *copy = palloc(sizeof(Pool));

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < pool_shared->npools; i++)
	{
		RowBuilder row = {.n = 0};

		LWLockAcquire(&pool_pools[i].lock, LW_SHARED);
		memcpy(copy, &pool_pools[i], sizeof(Pool));
		LWLockRelease(&pool_pools[i].lock);
		if (copy->id == 0 || !visible(copy))
			continue;

		put_identity(&row, copy);
		put_text(&row, pool_state_name(copy));
		put_sizes(&row, copy);
		put_counters(&row, &copy->stats);
		put_text(&row, copy->last_error.message);
		put_time(&row, copy->last_error.at);
		put_row(&row, rsinfo);
	}
	return (Datum) 0;
}

/*
 * Where another one took his lease shows his queries, as pg_stat_activity; and
 * in another database the text can have another encoding.
 */
static bool
may_see_context(const Pool *pool, const PoolSlot *slot)
{
	return slot->state == POOL_SLOT_LEASED && OidIsValid(slot->holder.userid) &&
		   pool->key.database == MyDatabaseId &&
		   (has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
			has_privs_of_role(GetUserId(), slot->holder.userid));
}

/*
 * A row for each slot in use.
 */
Datum
pool_connections(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Pool *pool_copy = palloc(sizeof(Pool));
	PoolSlot *copy = palloc(sizeof(PoolSlot));

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < pool_shared->nslots; i++)
	{
		RowBuilder row = {.n = 0};
		int place = pool_slots[i].pool;
		Pool *pool;

		if (place == POOL_NONE)
			continue;
		pool = &pool_pools[place];
		LWLockAcquire(&pool->lock, LW_SHARED);
		memcpy(pool_copy, pool, sizeof(Pool));
		memcpy(copy, &pool_slots[i], sizeof(PoolSlot));
		LWLockRelease(&pool->lock);
		if (copy->pool != place || !visible(pool_copy))
			continue;

		put_identity(&row, pool_copy);
		put(&row, Int32GetDatum(i));
		put_text(&row, pool_slot_state_name(copy->state));
		if (copy->state == POOL_SLOT_LEASED)
			put(&row, Int32GetDatum(copy->owner.pid));
		else
			put_null(&row);
		put_time(&row, wall_time(copy->since));
		put_time(&row, wall_time(copy->opened));
		put(&row, UInt64GetDatum(copy->uses));
		put_text(&row, copy->remote_address);
		if (copy->remote_pid != 0)
			put(&row, Int32GetDatum(copy->remote_pid));
		else
			put_null(&row);
		if (copy->opened != 0)
			put(&row, BoolGetDatum(copy->tls_version[0] != '\0'));
		else
			put_null(&row);
		put_text(&row, copy->tls_version);
		put_text(&row, copy->tls_cipher);
		put(&row, BoolGetDatum(copy->state == POOL_SLOT_LEASED && copy->leaked));
		put_text(&row, may_see_context(pool_copy, copy) ? copy->holder.context
														: NULL);
		put_text(&row, copy->doom != POOL_CLOSE_NONE
						   ? pool_close_reason_name(copy->doom)
						   : NULL);
		put_row(&row, rsinfo);
	}
	return (Datum) 0;
}
