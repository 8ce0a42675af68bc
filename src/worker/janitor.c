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
 *	- Older than max_lifetime: see pool_lifetime_phase().  Has another one opened
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

#include "utils/backend_status.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "options/options.h"
#include "shared/autoscale.h"
#include "shared/breaker.h"
#include "shared/lifetime.h"
#include "shared/queue.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "worker/closer.h"
#include "worker/janitor.h"
#include "worker/loop.h"
#include "worker/reset.h"
#include "worker/worker_log.h"

/* How often to look, and how long a used connection lies before its reset. */
#define TICK_MS 1000
#define MIN_TICK_MS 10 /* where options ask for more often than that */
#define SETTLE_US INT64CONST(1000000)

/*
 * The remote closed a connection that is idle or leased.  A leased one is the
 * session's; it will notice, and must not be able to return it as good.
 */
void
pool_janitor_remote_closed(PoolConn *conn)
{
	PoolSlot *slot = conn->slot;
	bool closing = false;

	conn->eof = true;
	if (conn->relay.ssl == NULL)
		pool_conn_watch_remote(conn, 0);
	pool_worker_log_lost(conn->pool, slot,
						 conn->relay.failure ? conn->relay.failure
											 : "it was closed by the remote");
	LWLockAcquire(&conn->pool->lock, LW_EXCLUSIVE);
	if (slot->state == POOL_SLOT_IDLE || slot->state == POOL_SLOT_RETURNED)
	{
		pool_slot_close(conn->pool, slot, POOL_CLOSE_REMOTE_CLOSED, false);
		closing = true;
	}
	else if (slot->state == POOL_SLOT_LEASED)
		pool_slot_note_remote_closed(conn->pool, slot);
	else
		pool_slot_retire(conn->pool, slot, POOL_CLOSE_REMOTE_CLOSED);
	LWLockRelease(&conn->pool->lock);
	if (closing)
		pool_closer_begin(slot);
}

static bool
owner_is_gone(const PoolSlot *slot)
{
	const PoolWaiter *entry = &pool_shmem_waiters[slot->owner.procno];

	return entry->session.serial != slot->owner.serial;
}

/*
 * Says who holds a connection for too long, and takes it away from him if it
 * is still his and not in use.
 */
static void
report_leak(Pool *pool, PoolSlot *slot, bool reclaim)
{
	PoolSlot copy;
	const char *activity;

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	copy = *slot;
	reclaim = reclaim && slot->state == POOL_SLOT_LEASED && slot->leaked &&
			  !slot->running;
	if (reclaim)
	{
		pool_slot_reclaim(pool, slot, POOL_CLOSE_RECLAIMED);
		pool_stats_add(&pool->stats, POOL_COUNT_LEAKS_RECLAIMED, 1);
	}
	LWLockRelease(&pool->lock);
	if (!copy.leaked)
		return; /* it was returned this very moment */

	activity = pgstat_get_backend_current_activity(copy.owner.pid, false);
	ereport(LOG,
			(errmsg("connection %d of pool for server \"%s\" is leased for %d seconds by process %d",
					pool_slot_index(slot), NameStr(pool->server_name),
					(int) ((pool_clock_us() - copy.since) / 1000000),
					copy.owner.pid),
			 OidIsValid(copy.holder.userid)
				 ? errdetail("Role \"%s\", application \"%s\", last query: %s",
							 NameStr(copy.holder.user),
							 NameStr(copy.holder.application), activity)
				 : errdetail("Last query: %s", activity),
			 reclaim ? errhint("It is taken away (leak_action).") : 0,
			 copy.holder.context[0] ? errcontext("%s", copy.holder.context) : 0));
	if (reclaim)
		pool_closer_begin(slot);
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
	PoolLifetime age = pool_lifetime_phase(pool, slot, now);

	if (options->idle_timeout > 0 &&
		now - slot->returned > INT64CONST(1000) * options->idle_timeout &&
		pool_slot_count_live(pool) > options->min_size)
	{
		pool_slot_close(pool, slot, POOL_CLOSE_IDLE_TIMEOUT, false);
		return ERRAND_CLOSE;
	}

	/* Where there is room, another one is opened first (renewals). */
	if (age == POOL_LIFETIME_OVER ||
		(age == POOL_LIFETIME_DUE && pool->failures == 0 &&
		 pool_slot_count_limited(pool) >= pool->limit &&
		 pool->nslots[POOL_SLOT_CLOSING] == 0))
	{
		pool_lifetime_close(pool, slot);
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
tell(const Pool *pool, bool recovered, const PoolAutoscaleMove *scaling)
{
	if (recovered)
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
	bool recovered;
	bool refused;
	bool scaled;
	PoolAutoscaleMove scaling;

	if (errands == NULL)
		errands = MemoryContextAlloc(TopMemoryContext,
									 sizeof(Errand) * pool_shmem->nslots);

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	options = pool->options;
	scaled = pool_autoscale_look(pool, now, &scaling);
	pool_loop_wake_at(scaling.next);
	pool->renewals = 0;
	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolSlot *slot = &pool_shmem_slots[i];

		errands[i] = slot->pool == pool_index(pool)
						 ? look_at_slot(pool, slot, now)
						 : ERRAND_NONE;
		if (pool_lifetime_is_due(pool, slot, now))
			pool->renewals++;
	}
	if (pool_slot_count_live(pool) >= Min(pool->prewarm, pool->limit))
		pool->prewarm = 0;
	if (pool_slot_count_all(pool) > 0)
		pool_loop_wake_at(now + tick(&options));
	recovered = pool_breaker_close_if_recovered(pool);
	refused = pool->nwaiting > 0 && pool_breaker_refuses(pool);
	LWLockRelease(&pool->lock);

	/* They waited for a connection that was there, and is no more. */
	if (refused)
		pool_queue_tell(pool, POOL_VERDICT_FAILED);
	tell(pool, recovered, scaled ? &scaling : NULL);
	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolSlot *slot = &pool_shmem_slots[i];
		PoolConn *conn = pool_conn_of(slot);

		if (errands[i] == ERRAND_CLOSE)
			pool_closer_begin(slot);
		else if (errands[i] == ERRAND_LEAK)
			report_leak(pool, slot, options.leak_action == POOL_LEAK_RECLAIM);
		else if (errands[i] != ERRAND_NONE)
		{
			conn->health_check = errands[i] == ERRAND_CHECK;
			pool_reset_begin(conn, slot->in_transaction,
							 conn->health_check ? options.health_check_query
							 : options.reset_query[0] != '\0'
								 ? options.reset_query
								 : NULL,
							 options.health_check_timeout);
		}
	}
}
