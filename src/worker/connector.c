/*
 * connector.c
 *		Which connections are to be opened, in the worker.
 *
 * A session that finds no idle connection joins the queue and wakes the
 * worker.  In each round the worker looks at each pool
 * (pool_connector_open_missing) and begins as many attempts (attempt.c) as there
 * are waiters that no connection is coming for, and as min_size, prewarming and
 * the age of connections ask for; and one if the circuit breaker is open.  Limits,
 * and the time of the next attempt after one that failed (shared/backoff.c), hold
 * them back.
 *
 * An attempt that hangs gets another one beside it.  That has a short time, so
 * there is never more than one such, and it is over the limits of the pool by
 * one; which connection is too many then is seen when they are made.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/fault.h"
#include "shared/backoff.h"
#include "shared/breaker.h"
#include "shared/free_list.h"
#include "shared/limit.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/wake.h"
#include "worker/attempt.h"
#include "worker/config.h"
#include "worker/connector.h"
#include "worker/evict.h"
#include "worker/loop.h"
#include "worker/worker_log.h"

/* For how long a connection that is checked or reset is counted on. */
#define PROMPT_US (200 * POOL_CLOCK_US_PER_MS)

/* What is to be done about a pool's connections just now. */
typedef enum Step
{
	STEP_NONE,
	STEP_BEGIN,		   /* begin an attempt */
	STEP_BEGIN_BESIDE, /* begin one beside those that hang */
	STEP_HALF_OPEN	   /* the worker does not try by itself any more */
} Step;

/*
 * Is that slot to come free by itself soon?  A check or reset takes no time, if
 * the remote is well.  Needs the pool's lock.
 */
static bool
is_coming(const Pool *pool, const PoolSlot *slot)
{
	int64 overdue = slot->since + PROMPT_US;

	if (slot->pool != pool_index(pool) ||
		(slot->state != POOL_SLOT_CHECKING && slot->state != POOL_SLOT_RETURNED &&
		 slot->state != POOL_SLOT_RESETTING) ||
		pool_clock_us() >= overdue)
		return false;
	pool_loop_wake_at(overdue);
	return true;
}

/* How many waiters no open connection is coming for.  Needs the pool's lock. */
static int
count_unserved(const Pool *pool)
{
	int unserved = pool->nwaiting;

	POOL_ASSERT_LOCKED_SHARED(pool);
	if (pool_slot_count_open(pool) == pool->nslots[POOL_SLOT_LEASED])
		return unserved;
	for (int i = 0; i < pool_shmem->nslots && unserved > 0; i++)
		unserved -= is_coming(pool, &pool_shmem_slots[i]) ? 1 : 0;
	return unserved;
}

/*
 * How many connections the pool lacks, those that are being opened included.
 * Needs its lock.
 */
static int
lacking_connections(const Pool *pool, int64 now)
{
	int min_size = now >= pool->refill_at ? pool->options.min_size : 0;
	int lacking = Max(min_size, pool->prewarm) - pool_slot_count_live(pool);

	POOL_ASSERT_LOCKED_SHARED(pool);

	if (!pool->configured || pool->pause != POOL_PAUSE_NONE)
		return 0;
	if (pool_breaker_probes(pool, now))
		lacking = Max(lacking, 1);
	lacking = Max(lacking, pool->renewals);
	return Max(lacking, count_unserved(pool));
}

/* How many more attempts may be under way.  Needs the lock. */
static int
free_places(const Pool *pool)
{
	int parallel = pool->failures > 0 || pool->breaker != POOL_BREAKER_CLOSED
					   ? 1
					   : pool->options.connect_parallel;

	POOL_ASSERT_LOCKED_SHARED(pool);
	return Min(pool->limit - pool_slot_count_limited(pool),
			   parallel - pool->nslots[POOL_SLOT_CONNECTING]);
}

/*
 * There is no place for a connection that the pool wants.  Then it does not go
 * on wanting one ahead of demand, or it would have each place that somebody
 * leaves, until it has them all; unless a place is just becoming free, or others
 * are still being opened, for which pool_prewarm() waits.  Returns whether it
 * did want one.  Needs the pool's lock.
 */
static bool
end_prewarm(Pool *pool)
{
	POOL_ASSERT_LOCKED(pool);
	if (pool->prewarm == 0 || pool->nslots[POOL_SLOT_CONNECTING] > 0 ||
		pool_evict_is_closing_one(PG_INT64_MAX))
		return false;
	pool->prewarm = 0;
	return true;
}

/*
 * The next step.  If it is too early for it, *when is its time, else
 * PG_INT64_MAX.  Needs the lock.
 */
static Step
next_step(const Pool *pool, int64 *when)
{
	int64 now = pool_clock_us();
	int connecting = pool->nslots[POOL_SLOT_CONNECTING];
	int lacking = lacking_connections(pool, now);
	int64 due;
	Step step = STEP_NONE;

	if (lacking > 0)
		step = Min(lacking - connecting, free_places(pool)) > 0 ? STEP_BEGIN
			   : connecting > 0 ? STEP_BEGIN_BESIDE
								: STEP_NONE;
	else if (pool->breaker == POOL_BREAKER_OPEN)
		step = STEP_HALF_OPEN;

	if (step == STEP_NONE)
		due = now < pool->refill_at ? pool->refill_at : PG_INT64_MAX;
	else if (step == STEP_BEGIN || connecting == 0)
		due = pool->next_attempt;
	else
		due = pool_backoff_beside_at(pool);

	*when = now < due ? due : PG_INT64_MAX;
	return now < due ? STEP_NONE : step;
}

/*
 * Takes the next step under the locks that it needs, as far as it is one of the
 * slots.  Returns the slot if an attempt is to begin, in *beside whether beside
 * another one.  If a limit is in the way, Pool.limited_by tells which, and *keep
 * is that of pool_limit_find(), else PG_INT32_MAX.
 */
static PoolSlot *
take_step(Pool *pool, bool *beside, int *keep)
{
	PoolSlot *slot = NULL;
	Step step = STEP_NONE;
	PoolLimit limit = POOL_LIMIT_NONE;
	int64 when = PG_INT64_MAX;
	bool prewarm_ended = false;

	*keep = PG_INT32_MAX;
	LWLockAcquire(&pool_shmem->registry_lock, LW_EXCLUSIVE);
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (pool->id != 0 && pool_config_of(pool, pool->id) != NULL)
		step = next_step(pool, &when);
	*beside = step == STEP_BEGIN_BESIDE;
	if (step == STEP_BEGIN || *beside)
		limit = pool_limit_find(pool, keep);
	if ((step == STEP_BEGIN || *beside) && limit == POOL_LIMIT_NONE)
	{
		slot = pool_free_list_claim(pool);
		pool_backoff_begin(pool);
	}
	pool->limited_by = *beside ? POOL_LIMIT_NONE : limit;
	if (pool->limited_by != POOL_LIMIT_NONE)
	{
		pool_wake_mark_starved(pool);
		prewarm_ended = end_prewarm(pool);
	}
	if (pool->limited_by != POOL_LIMIT_NONE || step == STEP_HALF_OPEN)
		pool_breaker_half_open(pool);
	pool_loop_wake_at(when);
	LWLockRelease(&pool->lock);
	LWLockRelease(&pool_shmem->registry_lock);
	if (prewarm_ended)
		ConditionVariableBroadcast(&pool->changed);
	return slot;
}

/*
 * Begins to open the connections that the pool lacks, as many as may be tried
 * now.  Called for each pool in each round.
 */
void
pool_connector_open_missing(Pool *pool)
{
	PoolSlot *slot;
	Step step = STEP_NONE;
	int64 when = PG_INT64_MAX;
	PoolLimit before;
	bool beside;
	int keep;

	LWLockAcquire(&pool->lock, LW_SHARED);
	if (pool->id != 0 && pool_config_of(pool, pool->id) != NULL)
		step = next_step(pool, &when);
	before = pool->id != 0 ? pool->limited_by : POOL_LIMIT_NONE;
	LWLockRelease(&pool->lock);
	pool_loop_wake_at(when);
	if (step == STEP_NONE && before == POOL_LIMIT_NONE)
		return;
	while ((slot = take_step(pool, &beside, &keep)) != NULL)
	{
		POOL_FAULT_POINT(connect_claimed);
		pool_attempt_begin(pool, slot, beside);
	}
	if (pool->limited_by == POOL_LIMIT_NONE)
		return;
	if (pool->limited_by != before)
		pool_worker_log_limited(pool);
	if (pool->nwaiting > 0)
		pool_evict_idle_for(pool, keep);
}
