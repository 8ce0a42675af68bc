/*
 * connector.c
 *		Opening connections, in the worker.
 *
 * A session that finds no idle connection joins the queue and wakes the
 * worker, which looks at each pool (pool_connector_demand) and starts as many
 * attempts as there are waiters that no connection is coming for.  An attempt
 * looks up host names first (hosts.c), so that libpq connects without blocking;
 * connect_timeout is for the look-up, and for each address.  A connection
 * counts as usable when libpq has read the first ReadyForQuery, not before;
 * it then goes to the first waiter, whoever it was opened for.
 *
 * An attempt that fails puts off the next one, longer each time.  When the
 * remote says that trying again is useless (wrong password, no such
 * database), or after retry_attempts failures in a row, all who wait are told
 * why, provided that the pool has no connection left that could come free.
 */
#include "postgres.h"

#include <netdb.h>

#include "common/pg_prng.h"
#include "storage/fd.h"

#include "base/clock.h"
#include "base/guc.h"
#include "options/conninfo.h"
#include "options/options.h"
#include "shared/backoff.h"
#include "shared/breaker.h"
#include "shared/lifetime.h"
#include "shared/queue.h"
#include "shared/self.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "shared/wake.h"
#include "worker/addresses.h"
#include "worker/config.h"
#include "worker/connect_error.h"
#include "worker/connector.h"
#include "worker/evict.h"
#include "worker/hosts.h"
#include "worker/libpq_trace.h"
#include "worker/loop.h"
#include "worker/relay.h"
#include "worker/worker_log.h"

/* How many more connections the pool needs now.  Needs the lock. */
static int
missing_connections(const Pool *pool)
{
	const PoolOptions *options = &pool->options;
	int connecting = pool->nslots[POOL_SLOT_CONNECTING];
	int coming = connecting + pool->nslots[POOL_SLOT_CHECKING] +
				 pool->nslots[POOL_SLOT_RETURNED] +
				 pool->nslots[POOL_SLOT_RESETTING];
	int wanted = Max(options->min_size, pool->prewarm) -
				 pool_slot_count_live(pool) - connecting;
	int parallel = pool->failures > 0 || pool->breaker != POOL_BREAKER_CLOSED
					   ? 1
					   : options->connect_parallel;

	if (!pool->configured || pool->pause != POOL_PAUSE_NONE)
		return 0;
	wanted = Max(wanted, pool->renewals - connecting);
	wanted = Max(wanted, pool->nwaiting - coming);
	wanted = Min(wanted, pool->limit - pool_slot_count_limited(pool));
	return Min(wanted, parallel - connecting);
}

/* A slot for one more connection, if one is needed and may be tried now. */
static PoolSlot *
claim_if_missing(Pool *pool, bool *full)
{
	PoolSlot *slot = NULL;

	*full = false;

	LWLockAcquire(&pool_shmem->registry_lock, LW_EXCLUSIVE);
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	if (pool->id != 0 && missing_connections(pool) > 0)
	{
		if (pool_clock_us() >= pool->next_attempt)
		{
			slot =
				pool_evict_server_is_full(pool) ? NULL : pool_slot_claim(pool);
			*full = slot == NULL;
			if (slot != NULL)
				pool_breaker_try(pool);
			else
				pool_wake_mark_starved(pool);
		}
		else
			pool_loop_wake_at(pool->next_attempt);
	}
	LWLockRelease(&pool->lock);
	LWLockRelease(&pool_shmem->registry_lock);
	return slot;
}

/*
 * The attempt in that slot is over.  What became of one that nobody wants any
 * more (other options, a dropped server) is no failure.
 */
static void
fail_slot(Pool *pool, PoolSlot *slot, const PoolConnectError *error)
{
	bool outdated;
	bool give_up = false;
	bool trips = false;
	int failures;

	LWLockAcquire(&pool_shmem->registry_lock, LW_EXCLUSIVE);
	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	outdated = slot->close_reason != POOL_CLOSE_NONE;
	if (!outdated)
		give_up = pool_backoff_failed(pool, error, &trips);
	failures = pool->failures;
	pool_slot_close(pool, slot, POOL_CLOSE_CONNECT_FAILED, false);
	pool_slot_free(pool, slot);
	if (give_up)
		pool->prewarm = 0;
	pool_loop_wake_at(pool->next_attempt);
	LWLockRelease(&pool->lock);
	LWLockRelease(&pool_shmem->registry_lock);
	pool_wake_starved();
	pool_loop_wake_at(0);

	if (!outdated)
		pool_worker_log_failed(pool, error->message);
	if (trips)
		ereport(LOG,
				(errmsg("circuit breaker of pool for server \"%s\" is open after %d failed attempts in a row",
						NameStr(pool->server_name), failures)));
	if (give_up)
		pool_queue_tell(pool, POOL_VERDICT_FAILED);
	ConditionVariableBroadcast(&pool->changed);
}

static void
fail_attempt(PoolConn *conn, const PoolConnectError *error)
{
	Pool *pool = conn->pool;
	PoolSlot *slot = conn->slot;

	pool_conn_free(conn);
	fail_slot(pool, slot, error);
}

static void
fail_with(PoolConn *conn, int sqlstate, const char *message)
{
	PoolConnectError error;

	pool_connect_error_set(&error, sqlstate, message);
	fail_attempt(conn, &error);
}

static void
fail_from_libpq(PoolConn *conn)
{
	PoolConnectError error = {0};

	pool_connect_error_parse(PQerrorMessage(conn->pg), &error);
	if (conn->silence.message[0] != '\0')
		pool_connect_error_prepend(&error, &conn->silence);
	fail_attempt(conn, &error);
}

/* Has libpq begin with the addresses that it has not failed to reach. */
static void
connect_now(PoolConn *conn, const PoolConninfo *conninfo)
{
	conn->pg = pool_addresses_connect(conn->addresses, conninfo);
	if (conn->pg == NULL)
		ereport(FATAL,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	pool_conn_begin(conn, POOL_TASK_CONNECT,
					conn->pool->options.connect_timeout);
	if (PQstatus(conn->pg) == CONNECTION_BAD)
	{
		fail_from_libpq(conn);
		return;
	}
	conn->address = pool_addresses_current(conn->addresses, conn->pg);
	PQsetNoticeReceiver(conn->pg, pool_conn_ignore_notice, NULL);
	PQsetErrorVerbosity(conn->pg, PQERRORS_VERBOSE);
	pool_libpq_trace_begin(&conn->trace, conn->pg);
	pool_conn_watch_remote(conn, WL_SOCKET_WRITEABLE);
}

/* The addresses are known, or as many as will be. */
static void
begin_to_connect(PoolConn *conn)
{
	const PoolConninfo *conninfo = pool_config_of(conn->pool, conn->pool->id);
	const char *problem = "its options are not known any more";

	if (conninfo != NULL)
		conn->addresses =
			pool_addresses_make(pool_config_hosts(conn->pool), &problem);
	if (conn->addresses != NULL)
	{
		if (problem != NULL)
			pool_connect_error_set(&conn->silence,
								   ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
								   problem);
		connect_now(conn, conninfo);
	}
	else
		fail_with(conn, ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
				  problem);
}

/* Goes on to connect if the addresses are known by now. */
static void
look_up(PoolConn *conn)
{
	if (pool_config_of(conn->pool, conn->pool->id) == NULL ||
		pool_hosts_look_up(pool_config_hosts(conn->pool)))
		begin_to_connect(conn);
}

/* Does nobody want the connection any more that is being opened? */
static bool
is_retired(const PoolConn *conn)
{
	bool retired;

	LWLockAcquire(&conn->pool->lock, LW_SHARED);
	retired = conn->slot->close_reason != POOL_CLOSE_NONE;
	LWLockRelease(&conn->pool->lock);
	return retired;
}

/*
 * To be called each time the worker looks at its deadlines: ends an attempt
 * that nobody wants any more, and goes on with a look-up.  An attempt must not
 * go on with what the options say now: a new password is not for the old hosts.
 */
void
pool_connector_tick(PoolConn *conn)
{
	PoolConnectError none = {0};

	if (is_retired(conn))
		fail_attempt(conn, &none);
	else if (conn->task == POOL_TASK_LOOK_UP)
		look_up(conn);
}

/* Starts one attempt in a slot that is CONNECTING. */
static void
start_attempt(Pool *pool, PoolSlot *slot)
{
	PoolConn *conn;

	if (!AcquireExternalFD())
	{
		PoolConnectError error;

		pool_connect_error_set(&error, ERRCODE_INSUFFICIENT_RESOURCES,
							   POOL_CONNECT_ERROR_FILES);
		fail_slot(pool, slot, &error);
		return;
	}
	conn = pool_conn_open(pool, slot);
	pool_conn_begin(conn, POOL_TASK_LOOK_UP, pool->options.connect_timeout);
	look_up(conn);
}

/* Opens what the pool needs now. */
void
pool_connector_demand(Pool *pool)
{
	PoolSlot *slot;
	bool missing;
	bool full = false;

	LWLockAcquire(&pool->lock, LW_SHARED);
	missing = pool->id != 0 && pool_config_of(pool, pool->id) != NULL &&
			  missing_connections(pool) > 0;
	LWLockRelease(&pool->lock);
	while (missing && (slot = claim_if_missing(pool, &full)) != NULL)
		start_attempt(pool, slot);
	if (missing && full && pool->nwaiting > 0)
		pool_evict_one_for(pool);
}

static void
describe_remote(PoolConn *conn, char *address, size_t size)
{
	struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(peer);
	char host[NI_MAXHOST];
	char port[NI_MAXSERV];

	if (getpeername(PQsocket(conn->pg), (struct sockaddr *) &peer, &len) == 0 &&
		peer.ss_family != AF_UNIX &&
		getnameinfo((struct sockaddr *) &peer, len, host, sizeof(host), port,
					sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		snprintf(address, size,
				 peer.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	else
		snprintf(address, size, "%s:%s", PQhost(conn->pg), PQport(conn->pg));
}

/* The connection is made: what is still to be said against it? */
static const char *
objection(PoolConn *conn)
{
	if (conn->pool->key.needs_password && !PQconnectionUsedPassword(conn->pg))
		return "password is required: the remote did not ask for the password of the user mapping";
	return NULL;
}

static void
finish_attempt(PoolConn *conn)
{
	Pool *pool = conn->pool;
	PoolSlot *slot = conn->slot;
	char address[POOL_ADDRESS_LEN];
	const char *version = NULL;
	const char *cipher = NULL;
	int remote_pid = PQbackendPID(conn->pg);
	const char *problem;
	PoolSessionRef wake;
	bool handed;

	if ((problem = objection(conn)) != NULL)
	{
		fail_with(conn, ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED,
				  problem);
		return;
	}
	if ((problem = pool_relay_begin(&conn->relay, conn->pg)) != NULL)
	{
		fail_with(conn, ERRCODE_INSUFFICIENT_RESOURCES, problem);
		return;
	}

	pool_addresses_free(conn->addresses);
	conn->addresses = NULL;
	PQuntrace(conn->pg);
	pool_libpq_trace_end(&conn->trace, &conn->key, remote_pid);
	conn->key.encrypted = PQsslInUse(conn->pg);
	PQsetErrorVerbosity(conn->pg, PQERRORS_DEFAULT);
	PQsetnonblocking(conn->pg, 1);
	describe_remote(conn, address, sizeof(address));
	if (conn->relay.ssl != NULL)
	{
		version = PQsslAttribute(conn->pg, "protocol");
		cipher = PQsslAttribute(conn->pg, "cipher");
	}
	pool_conn_stand_by(conn);

	LWLockAcquire(&pool->lock, LW_EXCLUSIVE);
	strlcpy(slot->remote_address, address, POOL_ADDRESS_LEN);
	slot->remote_pid = remote_pid;
	strlcpy(slot->tls_version, version ? version : "", POOL_TLS_NAME_LEN);
	strlcpy(slot->tls_cipher, cipher ? cipher : "", POOL_TLS_NAME_LEN);
	slot->jitter = pg_prng_double(&pg_global_prng_state);
	if (slot->close_reason == POOL_CLOSE_NONE)
	{
		pool_backoff_succeeded(pool);
		pool_lifetime_renewed(pool);
	}
	handed = pool_queue_offer(pool, slot, &wake);
	if (pool_slot_count_live(pool) >= pool->prewarm)
		pool->prewarm = 0;
	LWLockRelease(&pool->lock);

	if (handed)
		pool_wake_session(&wake);
	ConditionVariableBroadcast(&pool->changed);
	if (pool_guc_log_connections)
		ereport(LOG,
				(errmsg("connected pool for server \"%s\" to %s, remote process %d",
						NameStr(pool->server_name), address, remote_pid)));
}

/* libpq may have gone on to another address, which has its own time. */
static void
note_address(PoolConn *conn)
{
	int address = pool_addresses_current(conn->addresses, conn->pg);

	if (address == conn->address)
		return;
	conn->address = address;
	pool_conn_begin(conn, POOL_TASK_CONNECT,
					conn->pool->options.connect_timeout);
}

/* Something happened on the socket of an attempt. */
void
pool_connector_step(PoolConn *conn)
{
	PostgresPollingStatusType status = PQconnectPoll(conn->pg);

	note_address(conn);
	switch (status)
	{
		case PGRES_POLLING_OK:
			finish_attempt(conn);
			break;
		case PGRES_POLLING_FAILED:
			fail_from_libpq(conn);
			break;
		case PGRES_POLLING_READING:
			pool_conn_watch_remote(conn, WL_SOCKET_READABLE);
			break;
		default:
			pool_conn_watch_remote(conn, WL_SOCKET_WRITEABLE);
			break;
	}
}

/* An address, or the look-up, took longer than connect_timeout. */
void
pool_connector_timeout(PoolConn *conn)
{
	char message[POOL_ERROR_LEN];
	PoolConnectError error;
	const PoolConninfo *conninfo;

	if (conn->task == POOL_TASK_LOOK_UP)
	{
		begin_to_connect(conn);
		return;
	}
	snprintf(message, sizeof(message),
			 "connection to server at \"%s\", port %s failed: timeout expired",
			 PQhost(conn->pg) ? PQhost(conn->pg) : "",
			 PQport(conn->pg) ? PQport(conn->pg) : "");
	pool_connect_error_set(&error,
						   ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
						   message);
	if (conn->silence.message[0] != '\0')
		pool_connect_error_prepend(&error, &conn->silence);
	conninfo = pool_config_of(conn->pool, conn->pool->id);
	if (conninfo == NULL || !pool_addresses_skip(conn->addresses, conn->address))
	{
		fail_attempt(conn, &error);
		return;
	}
	conn->silence = error;
	pool_conn_disconnect(conn);
	connect_now(conn, conninfo);
}
