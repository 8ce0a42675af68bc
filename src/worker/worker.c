/*
 * worker.c
 *		The background worker: the only process that opens and closes
 *		connections, and keeps their sockets.
 *
 * It is connected to no database, so it blocks no DROP DATABASE and reads no
 * catalog.  Its loop never waits for one connection, one session or one
 * remote alone: everything is a step of a state machine that the next event
 * or the next deadline carries on.
 *
 * When it exits, for whatever reason but a crash of the server, it cuts every
 * connection, so that no session goes on with a socket that nobody watches.
 * The postmaster starts another one a second later; that one takes CLOSING
 * slots for closed and asks the sessions for the connection options again.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/guc.h"
#include "shared/pool.h"
#include "shared/queue.h"
#include "shared/registry.h"
#include "shared/self.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "shared/wire.h"
#include "worker/closer.h"
#include "worker/config.h"
#include "worker/conn.h"
#include "worker/connector.h"
#include "worker/janitor.h"
#include "worker/listener.h"
#include "worker/loop.h"
#include "worker/relay.h"
#include "worker/reset.h"
#include "worker/warm_launch.h"
#include "worker/worker.h"
#include "worker/worker_log.h"

static int my_number = -1;
static pgsocket listener = PGINVALID_SOCKET;

/* From _PG_init() in the postmaster. */
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
 * Leaves no slot that looks usable: what a session holds is doomed, the rest
 * is CLOSING.  Fills leased[].  Waiters are told to look again; those who
 * come later wait for the next worker.
 */
static void
disown_slots(bool *leased)
{
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		Pool *pool = &pool_shmem_pools[i];

		if (pool_worker_number(pool) != my_number)
			continue;
		LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
		pool->configured = false;
		for (int s = 0; s < pool_shmem->nslots; s++)
		{
			PoolSlot *slot = &pool_shmem_slots[s];

			if (slot->pool != i)
				continue;
			leased[s] = slot->state == POOL_SLOT_LEASED;
			pool_slot_retire(pool, slot, POOL_CLOSE_WORKER_EXITED);
			if (slot->state != POOL_SLOT_LEASED &&
				slot->state != POOL_SLOT_CLOSING)
				pool_slot_close(pool, slot, POOL_CLOSE_WORKER_EXITED, false);
		}
		LWLockRelease(&pool->lock);
		pool_queue_tell(pool, POOL_VERDICT_RETRY);
	}
}

static void
worker_exit(int code, Datum arg)
{
	bool *leased = palloc0(sizeof(bool) * pool_shmem->nslots);

	pg_atomic_write_u32(&pool_shmem->worker_procno[my_number],
						(uint32) POOL_NONE);
	pool_listener_close(my_number, listener);
	pool_loop_stop_requests();
	disown_slots(leased);
	pool_closer_all(leased);
	pool_worker_log_end();
}

static void
worker_start(void)
{
	bool *leased = palloc0(sizeof(bool) * pool_shmem->nslots);
	uint32 bit;

	listener = pool_listener_open(my_number);
	ReserveExternalFD();
	pool_loop_init(listener);
	pool_conn_init();
	pool_config_init();
	pool_worker_log_init();
	before_shmem_exit(worker_exit, (Datum) 0);

	/* An earlier worker may not have come to do this. */
	disown_slots(leased);

	pg_atomic_write_u32(&pool_shmem->worker_procno[my_number],
						(uint32) pool_my_procno());
	ConditionVariableBroadcast(&pool_shmem->worker_started);

	/* At the server's start the first one does it for all. */
	bit = (uint32) 1 << my_number;
	if (my_number == 0 ||
		(pg_atomic_read_u32(&pool_shmem->was_started) & bit) != 0)
		pool_warm_launch();
	pg_atomic_fetch_or_u32(&pool_shmem->was_started, bit);
}

/* A session asks for a descriptor: only of a slot that is its own. */
static void
serve_fetch(PoolListenerRequest *request)
{
	const PoolMessage *head = &request->head;
	PoolConn *conn;
	PoolSlot *slot;
	bool good = false;

	if (head->slot >= 0 && head->slot < pool_shmem->nslots)
	{
		slot = &pool_shmem_slots[head->slot];
		conn = pool_conn_of(slot);
		if (conn->pg != NULL && conn->generation == head->generation)
		{
			LWLockAcquire(&conn->pool->lock, LW_SHARED);
			good = pool_slot_is(slot, conn->pool, head->generation,
								POOL_SLOT_LEASED) &&
				   slot->owner.pid == request->peer_pid &&
				   slot->owner.serial == head->sender.serial;
			LWLockRelease(&conn->pool->lock);
		}
	}
	if (good)
		pool_listener_send(request, conn->pg,
						   conn->relay.ssl ? conn->relay.theirs
										   : PQsocket(conn->pg));
	else
		pool_listener_refuse(request);
}

/* Only a session of this server may say how to connect. */
static bool
is_session(const PoolListenerRequest *request)
{
	const PoolSessionRef *sender = &request->head.sender;

	return sender->pid == request->peer_pid && pool_self_exists(sender);
}

static void
serve_requests(void)
{
	PoolListenerRequest request;

	while (pool_listener_receive(listener, &request))
	{
		if (request.head.kind == POOL_MESSAGE_FETCH)
			serve_fetch(&request);
		else if (request.head.kind == POOL_MESSAGE_CONFIGURE &&
				 is_session(&request) && pool_config_accept(&request, my_number))
		{
			pool_listener_accept(&request);
			pool_loop_wake_at(0);
		}
		else
			pool_listener_refuse(&request);
		if (request.head.kind != POOL_MESSAGE_FETCH)
			pool_listener_wipe();
	}
}

/*
 * What is to be done for each task: "step" when something happened on a socket
 * of the connection, "tick" whenever the worker looks at its deadlines,
 * "timeout" when the task's own has come.
 */
static const struct
{
	void (*step)(PoolConn *conn);
	void (*tick)(PoolConn *conn);
	void (*timeout)(PoolConn *conn);
} tasks[POOL_NTASKS] = {
	[POOL_TASK_WATCH] = {.step = pool_janitor_remote_closed},
	[POOL_TASK_LOOK_UP] = {.tick = pool_connector_tick,
						   .timeout = pool_connector_timeout},
	[POOL_TASK_CONNECT] = {.step = pool_connector_step,
						   .tick = pool_connector_tick,
						   .timeout = pool_connector_timeout},
	[POOL_TASK_RESET] = {.step = pool_reset_step, .timeout = pool_reset_timeout},
	[POOL_TASK_CLOSE] = {.step = pool_closer_step,
						 .tick = pool_closer_step,
						 .timeout = pool_closer_timeout},
};

/* Passes data on between a session and its remote. */
static void
step_relay(PoolConn *conn, const PoolEvent *event)
{
	PoolSocket which = (PoolSocket) (event->watch - conn->watches);

	pool_relay_step(&conn->relay,
					which == POOL_SOCKET_REMOTE ? event->events : 0,
					which == POOL_SOCKET_SESSION ? event->events : 0);
	pool_conn_watch_relay(conn);
	if (conn->relay.ended && !conn->eof)
	{
		pool_janitor_remote_closed(conn);
		pool_loop_wake_at(0);
	}
}

/* Something happened on a connection's socket. */
static void
serve_event(const PoolEvent *event)
{
	PoolConn *conn = event->watch->conn;

	if (conn->pg == NULL)
		return; /* an event before this one ended it */
	if (conn->task == POOL_TASK_WATCH && conn->relay.ssl != NULL)
	{
		step_relay(conn, event);
		return; /* nothing for the rest of the worker to look at */
	}
	pool_loop_wake_at(0);
	if (tasks[conn->task].step != NULL)
		tasks[conn->task].step(conn);
}

/* Carries on with what has come due. */
static void
serve_deadlines(int64 now)
{
	for (int i = 0; i < pool_shmem->nslots; i++)
	{
		PoolConn *conn = pool_conn_of(&pool_shmem_slots[i]);
		PoolTask task = conn->task;

		if (task == POOL_TASK_NONE)
			continue;
		if (tasks[task].tick != NULL)
			tasks[task].tick(conn);
		if (conn->task != task)
			continue; /* it went on, and looks at its new deadline next time */
		if (now < conn->deadline)
			pool_loop_wake_at(conn->deadline);
		else if (tasks[task].timeout != NULL)
			tasks[task].timeout(conn);
	}
}

static void
serve_pools(void)
{
	for (int i = 0; i < pool_shmem->npools; i++)
	{
		Pool *pool = &pool_shmem_pools[i];

		if (pool->id == 0 || pool_worker_number(pool) != my_number)
			continue;
		pool_janitor_look(pool);
		pool_worker_log_look(pool);
		if (pool->dropped && pool_registry_clear(pool))
			pool_config_wipe(pool);
		else
			pool_connector_demand(pool);
	}
}

static void
handle_signals(void)
{
	CHECK_FOR_INTERRUPTS();
	if (ShutdownRequestPending)
		proc_exit(1); /* 1: to be started again, if the server runs */
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
}

void
pool_worker_main(Datum arg)
{
	MemoryContext loop_context;

	my_number = DatumGetInt32(arg);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	pqsignal(SIGINT, SIG_IGN); /* pg_cancel_backend() is not for us */
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);

	/* What libpq says is looked at, and goes to sessions of any encoding. */
	SetConfigOption("lc_messages", "C", PGC_SUSET, PGC_S_OVERRIDE);

	/* OpenSSL would ask a terminal for the passphrase of a key. */
	PQsetSSLKeyPassHook_OpenSSL(PQdefaultSSLKeyPassHook_OpenSSL);
	worker_start();
	loop_context = AllocSetContextCreate(TopMemoryContext, "pool worker loop",
										 ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(loop_context);

	for (;;)
	{
		PoolEvent ready[64];
		bool request;
		int n;

		if (pool_loop_is_due())
		{
			serve_pools();
			serve_deadlines(pool_clock_us());
		}
		n = pool_loop_wait(&request, ready, lengthof(ready));
		handle_signals();
		if (request)
			serve_requests();
		for (int i = 0; i < n; i++)
			serve_event(&ready[i]);
		MemoryContextReset(loop_context);
	}
}
