/*
 * stats.c
 *		The counters and times of a pool, and their names.
 */
#include "postgres.h"

#include "shared/stats.h"

static const char *const close_reason_names[POOL_NCLOSE_REASONS] = {
	[POOL_CLOSE_NONE] = "none",
	[POOL_CLOSE_CONNECT_FAILED] = "connect_failed",
	[POOL_CLOSE_IDLE_TIMEOUT] = "idle_timeout",
	[POOL_CLOSE_MAX_LIFETIME] = "max_lifetime",
	[POOL_CLOSE_CONFIG_CHANGED] = "config_changed",
	[POOL_CLOSE_RECONNECT] = "reconnect",
	[POOL_CLOSE_ADMIN] = "admin",
	[POOL_CLOSE_RECLAIMED] = "reclaimed",
	[POOL_CLOSE_SURPLUS] = "surplus",
	[POOL_CLOSE_EVICTED] = "evicted",
	[POOL_CLOSE_DROPPED] = "dropped",
	[POOL_CLOSE_REMOTE_CLOSED] = "remote_closed",
	[POOL_CLOSE_CANCELED] = "canceled",
	[POOL_CLOSE_ERROR] = "error",
	[POOL_CLOSE_UNCLEAN] = "unclean",
	[POOL_CLOSE_PROOF_FAILED] = "proof_failed",
	[POOL_CLOSE_RESET_FAILED] = "reset_failed",
	[POOL_CLOSE_CHECK_FAILED] = "check_failed",
	[POOL_CLOSE_HOLDER_EXITED] = "holder_exited",
	[POOL_CLOSE_HANDOVER_FAILED] = "handover_failed",
	[POOL_CLOSE_WORKER_EXITED] = "worker_exited",
	[POOL_CLOSE_UNATTENDED] = "unattended",
};

/* The name of a reason for closing, in views and in the log. */
const char *
pool_stats_close_reason_name(PoolCloseReason reason)
{
	Assert(reason < POOL_NCLOSE_REASONS);
	return close_reason_names[reason];
}

/* The name of what is timed, in views. */
const char *
pool_stats_timed_name(PoolTimed what)
{
	static const char *const names[POOL_NTIMED] = {
		[POOL_TIMED_WAIT] = "wait",
		[POOL_TIMED_CONNECT] = "connect",
		[POOL_TIMED_QUERY] = "query",
		[POOL_TIMED_LEASE] = "lease",
	};

	return names[what];
}

/* Once, when shared memory is made. */
void
pool_stats_init(PoolStats *stats)
{
	for (int i = 0; i < POOL_NCOUNTERS; i++)
		pg_atomic_init_u64(&stats->counters[i], 0);
	for (int i = 0; i < POOL_NCLOSE_REASONS; i++)
		pg_atomic_init_u64(&stats->closed[i], 0);
	for (int i = 0; i < POOL_NTIMED; i++)
		pool_histogram_init(&stats->times[i]);
}

/* Begins to count anew.  pool_slot_restart_counts() does so for a pool. */
void
pool_stats_zero(PoolStats *stats)
{
	for (int i = 0; i < POOL_NCOUNTERS; i++)
		pg_atomic_write_u64(&stats->counters[i], 0);
	for (int i = 0; i < POOL_NCLOSE_REASONS; i++)
		pg_atomic_write_u64(&stats->closed[i], 0);
	for (int i = 0; i < POOL_NTIMED; i++)
		pool_histogram_zero(&stats->times[i]);
}
