/*
 * janitor.c
 *		Resetting, checking and ageing of connections, in the worker.
 *
 * pool_janitor_look() goes through the slots of a pool, which is cheap, each
 * time the worker wakes, and at least every TICK_MS while there are any:
 *
 *	- RETURNED: rolls back and resets, then offers the slot again.
 *	- CLOSING: hands it to closer.c.
 *	- IDLE and used a while ago: resets it.  A statement may have left a lock
 *	  or a temporary table that no one would ask for again; the next user's
 *	  reset would come too late for those who wait for such a lock.
 *	- IDLE for longer than health_check_interval: asks health_check_query.
 *	- IDLE and not used for longer than idle_timeout: closes it, down to
 *	  min_size.
 *	- Older than max_lifetime: see pool_age_of().  Has another one opened
 *	  first if there is room, so that nobody has to wait for it.
 *	- LEASED for longer than leak_threshold, and no statement running: says so,
 *	  once, and takes it away if leak_action says so.
 *	- LEASED by a session that no longer exists: closes it.  The session's own
 *	  exit does that, so this is for the day when it could not.
 *
 * The reset runs in libpq's pipeline mode and so never blocks; it must answer
 * exactly as expected, or the connection is closed.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "age.h"
#include "breaker.h"
#include "closer.h"
#include "compat.h"
#include "janitor.h"
#include "journal.h"
#include "leak.h"
#include "scale.h"
#include "slot.h"
#include "waiters.h"

/* How often to look, and how long a used connection lies before its reset. */
#define TICK_MS 1000
#define MIN_TICK_MS 10 /* where options ask for more often than that */
#define SETTLE_US INT64CONST(1000000)

/* How many records of TLS are read before others get a turn. */
#define READ_ROUNDS 16

static void
reset_failed(PoolConn *conn, PoolCloseReason reason)
{
	Pool *pool = conn->pool;

	if (conn->health_check)
		pool_stats_add(&pool->stats, POOL_COUNT_HEALTH_CHECK_FAILURES, 1);
	if (conn->health_check && reason == POOL_CLOSE_RESET_FAILED)
		reason = POOL_CLOSE_CHECK_FAILED;
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	pool_slot_close(pool, conn->slot, reason, true);
	LWLockRelease(&pool->lock);
	pool_closer_begin(conn->slot);
}

static void
reset_done(PoolConn *conn)
{
	PoolSlot *slot = conn->slot;
	PoolSessionRef wake;
	bool handed;

	pool_conn_rest(conn);
	pool_stats_add(&conn->pool->stats,
				   conn->health_check ? POOL_COUNT_HEALTH_CHECKS
									  : POOL_COUNT_RESETS,
				   1);

	LWLockAcquire(&conn->pool->lock, LW_EXCLUSIVE);
	if (!conn->health_check)
		slot->used = slot->in_transaction = false;
	handed = pool_offer(conn->pool, slot, &wake);
	LWLockRelease(&conn->pool->lock);
	if (handed)
		pool_wake_backend(&wake);
}

/* Sends one statement of the reset, with a Sync of its own. */
static bool
send_reset(PoolConn *conn, const char *sql)
{
	conn->syncs_left++;
	return PQsendQueryParams(conn->pg, sql, 0, NULL, NULL, NULL, NULL, 0) &&
		   PQpipelineSync(conn->pg);
}

/* Sessions have no business with the connection now: nothing is relayed. */
static bool
borrow_from_relay(PoolConn *conn)
{
	if (conn->relay.ssl == NULL)
		return true;
	pool_conn_watch(conn, POOL_SOCKET_SESSION, conn->relay.mine,
					WL_SOCKET_CLOSED);
	return pool_relay_lend(&conn->relay);
}

/*
 * Starts the reset or the check of a slot that is RESETTING or CHECKING.
 * "query" NULL: none.
 */
static void
begin_reset(PoolConn *conn, bool rollback, const char *query, int timeout_ms)
{
	bool sent;

	conn->slot->last_holder = 0;
	conn->syncs_left = 0;
	pool_conn_task(conn, POOL_TASK_RESET, timeout_ms);
	if (!borrow_from_relay(conn))
	{
		reset_failed(conn, POOL_CLOSE_UNCLEAN);
		return;
	}
	sent = PQenterPipelineMode(conn->pg) &&
		   (!rollback || send_reset(conn, "ROLLBACK")) &&
		   (query == NULL || send_reset(conn, query)) && PQflush(conn->pg) == 0;
	if (sent)
		pool_conn_watch_remote(conn, WL_SOCKET_READABLE);
	else
		reset_failed(conn, POOL_CLOSE_RESET_FAILED);
}

/* The remote answers to the reset. */
void
pool_janitor_step(PoolConn *conn)
{
	PGresult *res;
	int ends = 0;

	for (int i = 0;
		 i == 0 || (i < READ_ROUNDS && pool_relay_has_more(&conn->relay)); i++)
	{
		if (!PQconsumeInput(conn->pg))
		{
			reset_failed(conn, POOL_CLOSE_REMOTE_CLOSED);
			return;
		}
	}
	while (conn->syncs_left > 0 && !PQisBusy(conn->pg))
	{
		ExecStatusType status;

		res = PQgetResult(conn->pg);
		/* A NULL ends each statement; a second one means that libpq is lost. */
		if (res == NULL && ++ends < 2)
			continue;
		ends = 0;
		status = PQresultStatus(res);
		PQclear(res);
		if (status == PGRES_PIPELINE_SYNC)
			conn->syncs_left--;
		else if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
				 status != PGRES_EMPTY_QUERY)
		{
			reset_failed(conn, POOL_CLOSE_RESET_FAILED);
			return;
		}
	}
	if (conn->syncs_left > 0)
		return;
	if (PQexitPipelineMode(conn->pg) &&
		PQtransactionStatus(conn->pg) == PQTRANS_IDLE)
		reset_done(conn);
	else
		reset_failed(conn, POOL_CLOSE_RESET_FAILED);
}

/* The remote did not answer to the reset in time. */
void
pool_janitor_timeout(PoolConn *conn)
{
	reset_failed(conn, POOL_CLOSE_RESET_FAILED);
}

/*
 * The remote closed a connection that is idle or leased.  A leased one is the
 * session's; it will notice, and must not be able to return it as good.
 */
void
pool_janitor_eof(PoolConn *conn)
{
	PoolSlot *slot = conn->slot;
	bool closing = false;

	conn->eof = true;
	if (conn->relay.ssl == NULL)
		pool_conn_watch_remote(conn, 0);
	pool_journal_lost(conn->pool, slot,
					  conn->relay.failure ? conn->relay.failure
										  : "it was closed by the remote");
	LWLockAcquire(&conn->pool->lock, LW_EXCLUSIVE);
	if (slot->state == POOL_SLOT_IDLE || slot->state == POOL_SLOT_RETURNED)
	{
		pool_slot_close(conn->pool, slot, POOL_CLOSE_REMOTE_CLOSED, false);
		closing = true;
	}
	else if (slot->state == POOL_SLOT_LEASED)
		pool_slot_note_gone(conn->pool, slot);
	else
		pool_slot_doom(slot, POOL_CLOSE_REMOTE_CLOSED);
	LWLockRelease(&conn->pool->lock);
	if (closing)
		pool_closer_begin(slot);
}

static bool
owner_is_gone(const PoolSlot *slot)
{
	const PoolWaiter *entry = &pool_waiters[slot->owner.procno];

	return entry->session.serial != slot->owner.serial;
}

/* What is to be done with one slot. */
typedef enum Errand
{
	ERRAND_NONE,
	ERRAND_RESET, /* RETURNED is RESETTING now, or IDLE is CHECKING */
	ERRAND_CHECK, /* IDLE is CHECKING, by health_check_query */
	ERRAND_LEAK,  /* LEASED for too long */
	ERRAND_CLOSE  /* is CLOSING */
} Errand;

/* The same for a slot that is IDLE.  Needs the pool's lock. */
static Errand
look_at_idle(Pool *pool, PoolSlot *slot, int64 now)
{
	const PoolOptions *options = &pool->options;
	int64 rest = now - slot->since;
	PoolAge age = pool_age_of(pool, slot, now);

	if (options->idle_timeout > 0 &&
		now - slot->returned > INT64CONST(1000) * options->idle_timeout &&
		pool_live_slots(pool) > options->min_size)
	{
		pool_slot_close(pool, slot, POOL_CLOSE_IDLE_TIMEOUT, false);
		return ERRAND_CLOSE;
	}

	/* Where there is room, another one is opened first (renewals). */
	if (age == POOL_AGE_OVER || (age == POOL_AGE_DUE && pool->failures == 0 &&
								 pool_counted_slots(pool) >= pool->limit &&
								 pool->nslots[POOL_SLOT_CLOSING] == 0))
	{
		pool_age_expire(pool, slot);
		return ERRAND_CLOSE;
	}
	if (slot->used && rest > SETTLE_US && options->reset_query[0])
	{
		pool_slot_move(pool, slot, POOL_SLOT_CHECKING);
		return ERRAND_RESET;
	}
	if (options->health_check_interval > 0 &&
		rest > INT64CONST(1000) * options->health_check_interval)
	{
		pool_slot_move(pool, slot, POOL_SLOT_CHECKING);
		return ERRAND_CHECK;
	}
	return ERRAND_NONE;
}

/* The same for a slot that is LEASED.  Needs the pool's lock. */
static Errand
look_at_leased(Pool *pool, PoolSlot *slot, int64 now)
{
	const PoolOptions *options = &pool->options;

	if (owner_is_gone(slot))
	{
		pool_slot_close(pool, slot, POOL_CLOSE_HOLDER_EXITED, true);
		return ERRAND_CLOSE;
	}
	if (options->leak_threshold == 0 || slot->leaked || slot->running ||
		now - slot->since < INT64CONST(1000) * options->leak_threshold)
		return ERRAND_NONE;
	slot->leaked = true;
	pool_stats_add(&pool->stats, POOL_COUNT_LEAKS, 1);
	return ERRAND_LEAK;
}

/* Decides and makes the first move.  Needs the pool's lock. */
static Errand
look_at_slot(Pool *pool, PoolSlot *slot, int64 now)
{
	switch (slot->state)
	{
		case POOL_SLOT_CLOSING:
			return ERRAND_CLOSE;
		case POOL_SLOT_RETURNED:
			pool_slot_move(pool, slot, POOL_SLOT_RESETTING);
			return ERRAND_RESET;
		case POOL_SLOT_LEASED:
			return look_at_leased(pool, slot, now);
		case POOL_SLOT_IDLE:
			return look_at_idle(pool, slot, now);
		default:
			return ERRAND_NONE;
	}
}

/* How soon to look again, in microseconds. */
static int64
tick(const PoolOptions *options)
{
	int ms = TICK_MS;

	if (options->health_check_interval > 0)
		ms = Min(ms, options->health_check_interval);
	if (options->max_lifetime > 0)
		ms = Min(ms, options->max_lifetime / 10);
	if (options->leak_threshold > 0)
		ms = Min(ms, options->leak_threshold);
	return INT64CONST(1000) * Max(ms, MIN_TICK_MS);
}

/* What has changed by the look, for the log; "scaling" NULL: nothing. */
static void
tell(const Pool *pool, bool well_again, const PoolScaling *scaling)
{
	if (well_again)
		ereport(LOG,
				(errmsg("circuit breaker of pool for server \"%s\" is closed",
						NameStr(pool->server_name))));

	if (scaling != NULL)
		ereport(LOG,
				(errmsg("limit of pool for server \"%s\" %s from %d to %d connections",
						NameStr(pool->server_name),
						scaling->to > scaling->from ? "raised" : "lowered",
						scaling->from, scaling->to),
				 errdetail("Utilization was %d%%.", scaling->utilization)));
}

/* Looks after all slots of a pool. */
void
pool_janitor_look(Pool *pool)
{
	static Errand *errands = NULL;
	int64 now = pool_clock_us();
	PoolOptions options;
	bool well_again;
	bool hopeless;
	bool scaled;
	PoolScaling scaling;

	if (errands == NULL)
		errands = MemoryContextAlloc(TopMemoryContext,
									 sizeof(Errand) * pool_shared->nslots);

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	options = pool->options;
	scaled = pool_scale_look(pool, now, &scaling);
	pool_wake_later(scaling.next);
	pool->renewals = 0;
	for (int i = 0; i < pool_shared->nslots; i++)
	{
		PoolSlot *slot = &pool_slots[i];

		errands[i] = slot->pool == pool_index(pool)
						 ? look_at_slot(pool, slot, now)
						 : ERRAND_NONE;
		if (pool_age_is_due(pool, slot, now))
			pool->renewals++;
	}
	if (pool_live_slots(pool) >= Min(pool->prewarm, pool->limit))
		pool->prewarm = 0;
	if (pool_taken_slots(pool) > 0)
		pool_wake_later(now + tick(&options));
	well_again = pool_breaker_close_if_well(pool);
	hopeless = pool->nwaiting > 0 && pool_breaker_refuses(pool);
	LWLockRelease(&pool->lock);

	/* They waited for a connection that was there, and is no more. */
	if (hopeless)
		pool_waiters_tell(pool, POOL_VERDICT_FAILED);
	tell(pool, well_again, scaled ? &scaling : NULL);
	for (int i = 0; i < pool_shared->nslots; i++)
	{
		PoolSlot *slot = &pool_slots[i];
		PoolConn *conn = pool_conn_of(slot);

		if (errands[i] == ERRAND_CLOSE)
			pool_closer_begin(slot);
		else if (errands[i] == ERRAND_LEAK)
			pool_leak_report(pool, slot,
							 options.leak_action == POOL_LEAK_RECLAIM);
		else if (errands[i] != ERRAND_NONE)
		{
			conn->health_check = errands[i] == ERRAND_CHECK;
			begin_reset(conn, slot->in_transaction,
						conn->health_check ? options.health_check_query
						: options.reset_query[0] != '\0' ? options.reset_query
														 : NULL,
						options.health_check_timeout);
		}
	}
}
