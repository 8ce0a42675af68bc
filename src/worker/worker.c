/*
 * worker.c
 *		The background worker: the only process that opens and closes
 *		connections, and keeps their sockets.
 *
 * It is connected to no database, so it blocks no DROP DATABASE and reads no
 * catalog.  Its loop never waits for one connection, one session or one
 * remote alone: each connection has a task, and does what it can when something
 * happens on its socket, in each round, and when its deadline has come.
 *
 * A round looks at every pool and every connection of the worker.  There is one
 * when the latch is set, when a time has come that something named
 * (pool_loop_wake_at), and when more than data to relay has come.  Names of
 * functions tell which of these calls them: _on_event, _on_round, _on_timeout.
 *
 * When it exits, for whatever reason but a crash of the server, it cuts every
 * connection, so that no session goes on with a socket that nobody watches.
 * The postmaster starts another one a second later; that one takes CLOSING
 * slots for closed and asks the sessions for the connection options again.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/fault.h"
#include "base/guc.h"
#include "base/signals.h"
#include "shared/pool.h"
#include "shared/queue.h"
#include "shared/registry.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "shared/wake.h"
#include "worker/attempt.h"
#include "worker/cancel_leased.h"
#include "worker/check_launch.h"
#include "worker/closer.h"
#include "worker/config.h"
#include "worker/conn.h"
#include "worker/connector.h"
#include "worker/drain.h"
#include "worker/janitor.h"
#include "worker/listener.h"
#include "worker/lookup.h"
#include "worker/loop.h"
#include "worker/relay.h"
#include "worker/requests.h"
#include "worker/reset.h"
#include "worker/warm_launch.h"
#include "worker/worker.h"
#include "worker/worker_log.h"

static int my_number = -1;
static pgsocket listener = PGINVALID_SOCKET;
static bool *leased; /* by slot; made when the worker starts, used at its end */

/*
 * Registers pool.workers background workers.  Called by _PG_init() in the
 * postmaster.
 */
void
pool_worker_register(void)
{
	BackgroundWorker worker = {.bgw_flags = BGWORKER_SHMEM_ACCESS |
											BGWORKER_BACKEND_DATABASE_CONNECTION,
							   .bgw_start_time = BgWorkerStart_ConsistentState,
							   .bgw_restart_time = 1};

	strlcpy(worker.bgw_type, "pool worker", BGW_MAXLEN);
	strlcpy(worker.bgw_library_name, "pool", BGW_MAXLEN);
	strlcpy(worker.bgw_function_name, "pool_worker_main", BGW_MAXLEN);
	for (int i = 0; i < pool_guc_workers; i++)
	{
		snprintf(worker.bgw_name, BGW_MAXLEN, "pool worker %d", i + 1);
		worker.bgw_main_arg = Int32GetDatum(i);
		RegisterBackgroundWorker(&worker);
	}
}

/*
 * Leaves no slot that looks usable: leased ones are retired, and hold no place
 * any more, since worker_exit() cuts their connections; the rest is CLOSING.
 * Sets leased[].  Waiters are told to look again; sessions that come later wait
 * for the next worker.
 */
static void
disown_slots(void)
{
	memset(leased, 0, sizeof(bool) * pool_shmem->nslots);
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		Pool *pool = &pool_shmem_pools[i];

		if (pool_worker_number(pool) != my_number)
			continue;
		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		POOL_FAULT_POINT(worker_disown_locked);
		pool->configured = false;
		for (int s = 0; s < pool_shmem->nslots; s++)
		{
			PoolSlot *slot = &pool_shmem_slots[s];

			if (slot->pool != i)
				continue;
			leased[s] = slot->state == POOL_SLOT_LEASED;
			pool_slot_retire(pool, slot, POOL_CLOSE_WORKER_EXITED);
			if (leased[s])
				pool_slot_note_remote_closed(pool, slot);
			else if (slot->state != POOL_SLOT_CLOSING)
				pool_slot_close(pool, slot, POOL_CLOSE_WORKER_EXITED,
								slot->unread);
		}
		LWLockRelease(&pool->lock);
		pool_queue_tell(pool, POOL_VERDICT_RETRY);
	}
	pool_wake_starved();
}

static void
worker_exit(int code, Datum arg)
{
	POOL_FAULT_POINT(worker_exit);
	pg_atomic_write_u32(&pool_shmem->worker_procno[my_number],
						(uint32) POOL_NONE);
	pool_listener_close(my_number, listener);
	pool_loop_stop_listening();
	disown_slots();
	POOL_FAULT_POINT(worker_disowned);
	pool_closer_all(leased);
	pool_worker_log_flush();
}

/*
 * The last of the exit, and a callback of its own, so that it is called even if
 * worker_exit() should fail.
 */
static void
worker_cut(int code, Datum arg)
{
	pool_closer_cut_all();
}

static void
worker_start(void)
{
	uint32 bit;

	POOL_FAULT_POINT(worker_begin);
	listener = pool_listener_open(my_number);
	ReserveExternalFD();
	pool_loop_init(listener);
	pool_conn_init();
	pool_config_init();
	pool_worker_log_init();
	leased = MemoryContextAllocZero(TopMemoryContext,
									sizeof(bool) * pool_shmem->nslots);
	before_shmem_exit(worker_cut, (Datum) 0); /* the first to come is last */
	before_shmem_exit(worker_exit, (Datum) 0);
	POOL_FAULT_POINT(worker_listening);

	/* If the end of an earlier worker failed, its slots must not look usable. */
	disown_slots();

	pg_atomic_write_u32(&pool_shmem->worker_procno[my_number],
						(uint32) pool_my_procno());
	ConditionVariableBroadcast(&pool_shmem->worker_started);

	/* At the server's start the first one does it for all. */
	bit = (uint32) 1 << my_number;
	if (my_number == 0 ||
		(pg_atomic_read_u32(&pool_shmem->was_started) & bit) != 0)
		pool_warm_launch();
	pg_atomic_fetch_or_u32(&pool_shmem->was_started, bit);
	POOL_FAULT_POINT(worker_ready);
}

/*
 * What a connection does, by its task: "on_event" when something happened on
 * one of its sockets; in each round "on_round" before the task's deadline, and
 * "on_timeout" after it.
 */
static const struct
{
	void (*on_event)(PoolConn *conn);
	void (*on_round)(PoolConn *conn);
	void (*on_timeout)(PoolConn *conn);
} tasks[POOL_NTASKS] = {
	[POOL_TASK_WATCH] = {.on_event = pool_janitor_remote_closed,
						 .on_round = pool_cancel_leased_continue,
						 .on_timeout = pool_cancel_leased_on_timeout},
	[POOL_TASK_LOOK_UP] = {.on_round = pool_attempt_on_round,
						   .on_timeout = pool_attempt_on_timeout},
	[POOL_TASK_CONNECT] = {.on_event = pool_attempt_on_event,
						   .on_round = pool_attempt_on_round,
						   .on_timeout = pool_attempt_on_timeout},
	[POOL_TASK_DRAIN] = {.on_event = pool_drain_on_event,
						 .on_round = pool_drain_on_round,
						 .on_timeout = pool_drain_on_timeout},
	[POOL_TASK_RESET] = {.on_event = pool_reset_on_event,
						 .on_timeout = pool_reset_on_timeout},
	[POOL_TASK_CLOSE] = {.on_event = pool_closer_continue,
						 .on_round = pool_closer_continue,
						 .on_timeout = pool_closer_on_timeout},
};

/* Passes data on between a session and its remote. */
static void
relay_on_event(PoolConn *conn, const PoolEvent *event)
{
	PoolSocket which = (PoolSocket) (event->watch - conn->watches);

	POOL_FAULT_POINT(relay_event);
	pool_relay_transfer(&conn->relay,
						which == POOL_SOCKET_REMOTE ? event->events : 0,
						which == POOL_SOCKET_SESSION ? event->events : 0);
	POOL_FAULT_POINT(relay_moved);
	pool_conn_watch_relay(conn);
	if (conn->relay.remote_ended && !conn->eof)
	{
		pool_janitor_remote_closed(conn);
		pool_loop_wake_now();
	}
}

/* Something happened on one of a connection's sockets. */
static void
conn_on_event(const PoolEvent *event)
{
	PoolConn *conn = event->watch->conn;

	if (conn->pg == NULL)
		return; /* an event before this one ended it */
	if (conn->task == POOL_TASK_WATCH &&
		event->watch == &conn->watches[POOL_SOCKET_CANCEL])
	{
		pool_cancel_leased_continue(conn);
		return;
	}
	if (conn->task == POOL_TASK_WATCH && conn->relay.ssl != NULL)
	{
		relay_on_event(conn, event);
		return; /* data alone is no reason for a round */
	}
	pool_loop_wake_now();
	if (tasks[conn->task].on_event != NULL)
		tasks[conn->task].on_event(conn);
}

static void
conns_on_round(void)
{
	int64 now = pool_clock_us();

	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolConn *conn = pool_conn_of(&pool_shmem_slots[i]);
		PoolTask task = conn->task;

		if (task == POOL_TASK_NONE)
			continue;
		if (now < conn->deadline)
		{
			pool_loop_wake_at(conn->deadline);
			if (tasks[task].on_round != NULL)
				tasks[task].on_round(conn);
		}
		else if (tasks[task].on_timeout != NULL)
			tasks[task].on_timeout(conn);
	}
}

static void
pools_on_round(void)
{
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		Pool *pool = &pool_shmem_pools[i];

		if (pool->id == 0 || pool_worker_number(pool) != my_number)
			continue;
		pool_janitor_on_round(pool);
		pool_worker_log_on_round(pool);
		if (pool->dropped && pool_registry_clear(pool))
			pool_config_wipe(pool);
		else
			pool_connector_open_missing(pool);
	}
	if (my_number == 0)
		pool_check_launch_on_round();
}

/* Where a worker process begins; "arg" is its number, from 0. */
void
pool_worker_main(Datum arg)
{
	MemoryContext loop_context;

	my_number = DatumGetInt32(arg);
	on_proc_exit(pool_lookup_at_exit, (Datum) 0); /* the first to come is last */
	pool_signals_accept();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	/*
	 * connect_error.c reads libpq's messages, and they go to sessions of any
	 * encoding.
	 */
	SetConfigOption("lc_messages", "C", PGC_SUSET, PGC_S_OVERRIDE);

	/* OpenSSL would ask a terminal for the passphrase of a key. */
	PQsetSSLKeyPassHook_OpenSSL(PQdefaultSSLKeyPassHook_OpenSSL);
	worker_start();
	loop_context = AllocSetContextCreate(TopMemoryContext, "pool worker loop",
										 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(loop_context);

	for (;;)
	{
		PoolEvent ready[POOL_LOOP_MAX_EVENTS];
		bool messages_ready;
		int n;

		if (pool_loop_begin_round())
		{
			POOL_FAULT_POINT(worker_round);
			pools_on_round();
			conns_on_round();
		}
		n = pool_loop_wait(&messages_ready, ready);
		pool_signals_handle();
		if (messages_ready)
			pool_requests_serve(listener, my_number);
		for (int i = 0; i < n; i++)
			conn_on_event(&ready[i]);
		MemoryContextReset(loop_context);
	}
}
