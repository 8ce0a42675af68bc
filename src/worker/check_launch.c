/*
 * check_launch.c
 *		Having the pools compared with the catalogs.
 *
 * What the process does that is started here is in session/checker.c.  It is
 * started when nobody has confirmed a pool for pool.catalog_check_interval
 * (Pool.confirmed), and there is one at a time; so it never runs while there are
 * no pools, or while sessions ask for all of them.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/clock.h"
#include "base/guc.h"
#include "shared/launch.h"
#include "shared/pool.h"
#include "shared/shmem.h"
#include "worker/check_launch.h"
#include "worker/loop.h"

/* The least time between two of them, as a part of the interval. */
#define PAUSE_PART 3

static BackgroundWorkerHandle *running = NULL;
static int64 not_before = 0; /* the next one, pool_clock_us() */

/* Is the process that was started last under way still? */
static bool
is_running(void)
{
	pid_t pid;

	if (running == NULL)
		return false;
	if (GetBackgroundWorkerPid(running, &pid) != BGWH_STOPPED)
		return true;
	pfree(running);
	running = NULL;
	return false;
}

/*
 * When the first pool will not have been confirmed for the interval.  Looks
 * without locks: a wrong time costs one process.  Pools of other workers may
 * come without waking this one, so it is no later than in one interval.
 */
static int64
next_due(int64 interval)
{
	int64 due = pool_clock_us() + interval;

	for (int i = 0; i < pool_shmem->npools; i++)
	{
		const Pool *pool = &pool_shmem_pools[i];

		if (pool->id != 0 && !pool->dropped && !pool_target_is_string(&pool->key))
			due = Min(due, pool->confirmed + interval);
	}
	return due;
}

/* Starts the process when it is time to.  Called in each round of one worker. */
void
pool_check_launch_on_round(void)
{
	int64 interval = pool_clock_from_ms(pool_guc_catalog_check_interval);
	int64 now = pool_clock_us();
	int64 due;
	MemoryContext old;

	if (is_running())
		return; /* its end is notified */
	due = Max(next_due(interval), not_before);
	if (now >= due)
	{
		old = MemoryContextSwitchTo(TopMemoryContext);
		running = pool_launch_checker(InvalidOid);
		MemoryContextSwitchTo(old);
		not_before = due = now + interval / PAUSE_PART;
	}
	pool_loop_wake_at(due);
}
