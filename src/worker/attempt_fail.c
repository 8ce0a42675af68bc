/*
 * attempt_fail.c
 *		What comes of an attempt to connect that has failed.
 *
 * It puts off the next one, longer each time.  When the remote says that trying
 * again is useless (wrong password, no such database), or after retry_attempts
 * failures in a row, all who wait are told why, provided that the pool has no
 * connection left that could be released.  Logs and wakes without the locks.
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/fault.h"
#include "shared/backoff.h"
#include "shared/free_list.h"
#include "shared/queue.h"
#include "shared/shmem.h"
#include "shared/stats.h"
#include "shared/wake.h"
#include "worker/attempt_fail.h"
#include "worker/connect_error.h"
#include "worker/loop.h"
#include "worker/worker_log.h"

/*
 * Ends an attempt that has failed: counts it, frees the slot, and tells those
 * who wait, if that was the last attempt for them.  It is no failure if the
 * connection was retired meanwhile (other options, a dropped server).
 * "no_answer": it was one beside another, and its time is over.
 */
void
pool_attempt_fail_slot(Pool *pool, PoolSlot *slot,
					   const PoolConnectError *error, bool no_answer)
{
	bool retired;
	bool tell_waiters = false;
	bool trips = false;
	int failures;

	LWLockAcquire(&pool_shmem->registry_lock, LW_EXCLUSIVE);
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	retired = slot->close_reason != POOL_CLOSE_NONE;
	if (!retired && no_answer)
		pool_backoff_no_answer(pool, error);
	else if (!retired)
		tell_waiters = pool_backoff_failed(pool, error, &trips);
	failures = pool->failures;
	pool_slot_close(pool, slot, POOL_CLOSE_CONNECT_FAILED, false);
	pool_free_list_add(pool, slot);
	if (tell_waiters)
		pool->prewarm = 0;
	pool_loop_wake_at(pool->next_attempt);
	POOL_FAULT_POINT(connect_failed_locked);
	LWLockRelease(&pool->lock);
	LWLockRelease(&pool_shmem->registry_lock);
	pool_wake_starved();
	pool_loop_wake_now();
	POOL_FAULT_POINT(connect_failed);

	if (!retired)
		pool_worker_log_connect_failed(pool, error->message);
	if (trips)
		ereport(LOG, (errmsg("circuit breaker of pool for server \"%s\" is open "
							 "after %d failed attempts in a row",
							 NameStr(pool->server_name), failures)));
	if (tell_waiters)
		pool_queue_tell(pool, POOL_VERDICT_FAILED);
	ConditionVariableBroadcast(&pool->changed);
}

/* Ends an attempt with an error. */
void
pool_attempt_fail(PoolConn *conn, const PoolConnectError *error)
{
	Pool *pool = conn->pool;
	PoolSlot *slot = conn->slot;
	bool no_answer = conn->give_up != 0 && pool_clock_us() >= conn->deadline;

	pool_conn_free(conn);
	pool_attempt_fail_slot(pool, slot, error, no_answer);
}

/* Ends an attempt with an error that is found here. */
void
pool_attempt_fail_with(PoolConn *conn, int sqlstate, const char *message)
{
	PoolConnectError error;

	pool_connect_error_set(&error, sqlstate, message);
	pool_attempt_fail(conn, &error);
}

/* Ends an attempt with the error that libpq has found. */
void
pool_attempt_fail_from_libpq(PoolConn *conn)
{
	PoolConnectError error = {0};
	char *message =
		psprintf("%s%s", conn->message_head, PQerrorMessage(conn->pg));

	pool_connect_error_parse(message, &error);
	pfree(message);
	if (conn->skipped_error.message[0] != '\0')
		pool_connect_error_prepend(&error, &conn->skipped_error);
	pool_attempt_fail(conn, &error);
}
