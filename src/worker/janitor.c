/*
 * janitor.c
 *		What becomes of connections that nobody asks about, in the worker.
 *
 * In each round, and at least every ROUND_MS while a pool has connections,
 * pool_janitor_on_round() goes through the slots of the pool.  Under the lock it
 * decides what is to be done about each and makes the slot's first move; then,
 * without the lock, it does the rest and writes the log:
 *
 *	- RETURNED: has it reset (reset.c), and drained before that (drain.c) if an
 *	  answer is on its way.
 *	- CLOSING: hands it to closer.c.
 *	- IDLE and used a while ago: has it reset.  A statement may have left a lock
 *	  or a temporary table that nobody would ask for again; the next session's
 *	  reset would come too late for those who wait for such a lock.
 *	- IDLE for longer than health_check_interval, or CHECKING since a session
 *	  found another one dead (pool_queue_doubt): has health_check_query asked.
 *	- IDLE and not used for longer than idle_timeout, or more than were leased at
 *	  a time meanwhile (shared/demand.c): closes it, down to min_size.
 *	- Older than max_lifetime: see pool_lifetime_phase().  Has another one opened
 *	  first if there is room, so that nobody has to wait for it.
 *	- LEASED for too long: see overdue.c.
 *	- LEASED by a session that wants its statement cancelled: see cancel_leased.c.
 *	- LEASED by a session that no longer exists: closes it.  The session's own
 *	  exit does that, so this is for the day when it could not.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/clock.h"
#include "base/fault.h"
#include "options/options.h"
#include "shared/autoscale.h"
#include "shared/backoff.h"
#include "shared/breaker.h"
#include "shared/cancel_order.h"
#include "shared/demand.h"
#include "shared/holder.h"
#include "shared/lifetime.h"
#include "shared/queue.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "shared/wake.h"
#include "worker/cancel_leased.h"
#include "worker/closer.h"
#include "worker/drain.h"
#include "worker/janitor.h"
#include "worker/loop.h"
#include "worker/overdue.h"
#include "worker/reset.h"
#include "worker/worker_log.h"

/* How often to look, and after which time idle a used connection is reset. */
#define ROUND_MS 1000
#define MIN_ROUND_MS 10 /* however short the times in the options are */
#define RESET_AFTER_US (1 * POOL_CLOCK_US_PER_S)

/* What is to be done about a slot after its first move. */
typedef enum Errand
{
	ERRAND_NONE,
	ERRAND_RESET,	/* RETURNED is RESETTING now, or IDLE is CHECKING */
	ERRAND_CHECK,	/* IDLE is CHECKING, by health_check_query */
	ERRAND_CANCEL,	/* LEASED, and its session has ordered that */
	ERRAND_OVERDUE, /* LEASED for too long */
	ERRAND_CLOSE	/* is CLOSING */
} Errand;

/* What a round has found out about a pool. */
typedef struct Findings
{
	PoolOptions options;
	bool scaled; /* by "move" */
	PoolAutoscaleMove move;
	bool breaker_closed;
	bool refuses_waiters;
	Errand *errands; /* by slot */
} Findings;

/*
 * The remote has closed a connection that is idle or leased: closes it.  A
 * leased one is its session's, which will notice, and must not be able to
 * release it as good.
 */
void
pool_janitor_remote_closed(PoolConn *conn)
{
	PoolSlot *slot = conn->slot;
	bool closing = false;

	conn->eof = true;
	if (conn->relay.ssl == NULL)
		pool_conn_watch_remote(conn, 0);
	pool_worker_log_connection_lost(conn->pool, slot,
									conn->relay.failure
										? conn->relay.failure
										: "it was closed by the remote");
	LWLockAcquire(&conn->pool->lock, LW_EXCLUSIVE);
	pool_backoff_lost(conn->pool);
	if (slot->state == POOL_SLOT_IDLE || slot->state == POOL_SLOT_RETURNED ||
		slot->state == POOL_SLOT_CHECKING) /* which has not begun */
	{
		pool_slot_close(conn->pool, slot, POOL_CLOSE_REMOTE_CLOSED, false);
		closing = true;
	}
	else if (slot->state == POOL_SLOT_LEASED)
		pool_slot_note_remote_closed(conn->pool, slot);
	else
		pool_slot_retire(conn->pool, slot, POOL_CLOSE_REMOTE_CLOSED);
	POOL_FAULT_POINT(remote_closed_locked);
	LWLockRelease(&conn->pool->lock);
	if (closing)
		pool_closer_begin(slot);
	else
		pool_wake_starved(); /* what it does not count against any more */
}

/* Has the session that leased the slot ended? */
static bool
owner_is_gone(const PoolSlot *slot)
{
	const PoolWaiter *entry = &pool_shmem_waiters[slot->owner.procno];

	return entry->session.serial != slot->owner.serial;
}

/* Decides about a slot that is IDLE.  Needs the pool's lock. */
static Errand
decide_idle(Pool *pool, PoolSlot *slot, int64 now)
{
	const PoolOptions *options = &pool->options;
	int64 idle_us = now - slot->since;
	PoolLifetime phase = pool_lifetime_phase(pool, slot, now);

	if (options->idle_timeout > 0 &&
		now - slot->returned > pool_clock_from_ms(options->idle_timeout) &&
		pool_slot_count_live(pool) > options->min_size)
	{
		pool_slot_close(pool, slot, POOL_CLOSE_IDLE_TIMEOUT, false);
		return ERRAND_CLOSE;
	}

	/* Where there is room, another one is opened first (renewals). */
	if (phase == POOL_LIFETIME_OVER ||
		(phase == POOL_LIFETIME_DUE && pool->failures == 0 &&
		 pool_slot_count_limited(pool) >= pool->limit &&
		 pool->nslots[POOL_SLOT_CLOSING] == 0))
	{
		pool_lifetime_close(pool, slot);
		return ERRAND_CLOSE;
	}
	if (slot->used && idle_us > RESET_AFTER_US && options->reset_query[0])
	{
		pool_slot_move(pool, slot, POOL_SLOT_CHECKING);
		return ERRAND_RESET;
	}
	if (options->health_check_interval > 0 &&
		idle_us > pool_clock_from_ms(options->health_check_interval))
	{
		pool_slot_move(pool, slot, POOL_SLOT_CHECKING);
		return ERRAND_CHECK;
	}
	return ERRAND_NONE;
}

/* Decides about a slot that is LEASED.  Needs the pool's lock. */
static Errand
decide_leased(Pool *pool, PoolSlot *slot, int64 now)
{
	int64 until;

	if (owner_is_gone(slot))
	{
		pool_slot_close(pool, slot, POOL_CLOSE_HOLDER_EXITED, true);
		return ERRAND_CLOSE;
	}
	if (pool_cancel_leased_may_begin(pool_conn_of(slot)) &&
		pool_cancel_order_take(pool, slot))
		return ERRAND_CANCEL;
	until = pool_holder_attended_until(slot);
	if (until > now)
		pool_loop_wake_at(until);
	return pool_overdue_decide(pool, slot, now) != POOL_OVERDUE_NONE
			   ? ERRAND_OVERDUE
			   : ERRAND_NONE;
}

/*
 * Decides what is to be done about a slot, and makes its first move.  Needs the
 * pool's lock.
 */
static Errand
decide_slot(Pool *pool, PoolSlot *slot, int64 now)
{
	POOL_ASSERT_LOCKED(pool);

	switch (slot->state)
	{
		case POOL_SLOT_CLOSING:
			return ERRAND_CLOSE;
		case POOL_SLOT_RETURNED:
			pool_slot_move(pool, slot, POOL_SLOT_RESETTING);
			return ERRAND_RESET;
		case POOL_SLOT_LEASED:
			return decide_leased(pool, slot, now);
		case POOL_SLOT_IDLE:
			return decide_idle(pool, slot, now);
		case POOL_SLOT_CHECKING:
			return pool_conn_of(slot)->task == POOL_TASK_WATCH ? ERRAND_CHECK
															   : ERRAND_NONE;
		default:
			return ERRAND_NONE;
	}
}

/* How soon to look again, in microseconds. */
static int64
round_interval(const PoolOptions *options)
{
	int ms = ROUND_MS;

	if (options->health_check_interval > 0)
		ms = Min(ms, options->health_check_interval);
	if (options->max_lifetime > 0)
		ms = Min(ms, options->max_lifetime / 10);
	if (options->leak_threshold > 0)
		ms = Min(ms, options->leak_threshold);
	return pool_clock_from_ms(Max(ms, MIN_ROUND_MS));
}

/* Looks at the pool and decides about all its slots.  Needs its lock. */
static void
decide(Pool *pool, Findings *found)
{
	int64 now = pool_clock_us();

	POOL_ASSERT_LOCKED(pool);

	found->options = pool->options;
	found->scaled = pool_autoscale_look(pool, now, &found->move);
	pool_loop_wake_at(found->move.next);
	pool->renewals = 0;
	pool_demand_close_idle(pool, now);
	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolSlot *slot = &pool_shmem_slots[i];

		found->errands[i] = slot->pool == pool_index(pool)
								? decide_slot(pool, slot, now)
								: ERRAND_NONE;
		if (pool_lifetime_is_due(pool, slot, now))
			pool->renewals++;
	}
	if (pool_slot_count_live(pool) >= Min(pool->prewarm, pool->limit))
		pool->prewarm = 0;
	if (pool_slot_count_all(pool) > 0)
		pool_loop_wake_at(now + round_interval(&found->options));
	found->breaker_closed = pool_breaker_close_if_recovered(pool);
	found->refuses_waiters = pool->nwaiting > 0 && pool_breaker_refuses(pool);
}

/* Logs what the round has changed in the pool. */
static void
log_findings(const Pool *pool, const Findings *found)
{
	const PoolAutoscaleMove *move = &found->move;
	const char *server = NameStr(pool->server_name);

	if (found->breaker_closed)
		ereport(LOG,
				(errmsg("circuit breaker of pool for server \"%s\" is closed",
						server)));
	if (found->scaled)
		ereport(LOG,
				(move->to > move->from
					 ? errmsg("limit of pool for server \"%s\" raised from %d to %d connections",
							  server, move->from, move->to)
					 : errmsg("limit of pool for server \"%s\" lowered from %d to %d connections",
							  server, move->from, move->to),
				 errdetail("Utilization was %d%%.", move->utilization)));
}

/* Does what was decided about a slot. */
static void
run_errand(Pool *pool, PoolSlot *slot, Errand errand, const PoolOptions *options)
{
	PoolConn *conn = pool_conn_of(slot);
	const char *reset_query =
		options->reset_query[0] != '\0' ? options->reset_query : NULL;

	switch (errand)
	{
		case ERRAND_NONE:
			break;
		case ERRAND_RESET:
			conn->is_health_check = false;
			if (slot->unread)
				pool_drain_begin(conn, options->health_check_timeout);
			else
				pool_reset_begin(conn, slot->in_transaction, reset_query,
								 options->health_check_timeout);
			break;
		case ERRAND_CHECK:
			conn->is_health_check = true;
			pool_reset_begin(conn, slot->in_transaction,
							 options->health_check_query,
							 options->health_check_timeout);
			break;
		case ERRAND_CANCEL:
			pool_cancel_leased_begin(pool, slot);
			break;
		case ERRAND_OVERDUE:
			pool_overdue_handle(pool, slot,
								options->leak_action == POOL_LEAK_RECLAIM);
			break;
		case ERRAND_CLOSE:
			pool_closer_begin(slot);
			break;
	}
}

/* Looks after all slots of a pool.  Called for each pool in each round. */
void
pool_janitor_on_round(Pool *pool)
{
	static Findings found;

	if (found.errands == NULL)
		found.errands = MemoryContextAlloc(TopMemoryContext,
										   sizeof(Errand) * pool_shmem->nslots);

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	decide(pool, &found);
	LWLockRelease(&pool->lock);
	POOL_FAULT_POINT(janitor_decided);

	/* They waited for a connection that was there, and is no more. */
	if (found.refuses_waiters)
		pool_queue_tell(pool, POOL_VERDICT_FAILED);
	log_findings(pool, &found);
	for (int i = 0; i < pool_shmem->nslots; i++)
		run_errand(pool, &pool_shmem_slots[i], found.errands[i], &found.options);
}
