/*
 * attempt.c
 *		One attempt to connect, in the worker.
 *
 * An attempt looks up host names first (hosts.c), so that libpq connects without
 * blocking; connect_timeout is for the look-up, and for each address.  A
 * connection counts as usable when libpq has read the first ReadyForQuery, not
 * before; it then goes to the first waiter, whichever it was opened for.  How
 * much the remote may send until then is bounded (feed.c).
 *
 * One that hangs may be overtaken by another one that began beside it: that has
 * a short time for all of its addresses, and if it connects the other one, which
 * waits for packets that were lost, is given up.
 *
 * What a failure leads to is in attempt_fail.c.
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "common/pg_prng.h"
#include "storage/fd.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/guc.h"
#include "options/conninfo.h"
#include "shared/backoff.h"
#include "shared/lifetime.h"
#include "shared/queue.h"
#include "shared/self.h"
#include "shared/stats.h"
#include "shared/wake.h"
#include "worker/addresses.h"
#include "worker/attempt.h"
#include "worker/attempt_fail.h"
#include "worker/config.h"
#include "worker/connect_error.h"
#include "worker/feed.h"
#include "worker/hosts.h"
#include "worker/parameters.h"
#include "worker/relay.h"

/*
 * Begins a task of an attempt: a look-up, or to connect to an address.  What an
 * attempt beside another one has left of its time is for all its addresses.
 */
static void
begin_task(PoolConn *conn, PoolTask task)
{
	int64 timeout_ms = conn->pool->options.connect_timeout;

	if (conn->give_up != 0)
	{
		int addresses =
			conn->addresses ? pool_addresses_left(conn->addresses) : 1;
		int64 share =
			Max(1, pool_clock_left_ms(conn->give_up) / Max(addresses, 1));

		timeout_ms = timeout_ms > 0 ? Min(timeout_ms, share) : share;
	}
	pool_conn_begin_task(conn, task, timeout_ms);
}

/* Has libpq begin to connect to the addresses that were not left out. */
static void
connect_now(PoolConn *conn, const PoolConninfo *conninfo)
{
	conn->message_head[0] = '\0';
	conn->pg = pool_addresses_connect(conn->addresses, conninfo);
	if (conn->pg == NULL)
		ereport(FATAL,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	begin_task(conn, POOL_TASK_CONNECT);
	if (PQstatus(conn->pg) == CONNECTION_BAD)
	{
		pool_attempt_fail_from_libpq(conn);
		return;
	}
	conn->address = pool_addresses_current(conn->addresses, conn->pg);

	/*
	 * Else libpq would wait, here, until a remote that asks for the password
	 * again and again reads the answers; now the attempt fails.  This clears
	 * what libpq has to say so far.
	 */
	strlcpy(conn->message_head, PQerrorMessage(conn->pg), POOL_ERROR_LEN);
	PQsetnonblocking(conn->pg, 1);
	PQsetNoticeReceiver(conn->pg, pool_conn_ignore_notice, NULL);
	PQsetErrorVerbosity(conn->pg, PQERRORS_VERBOSE);
	POOL_FAULT_POINT(connect_started);
	pool_conn_watch_remote(conn, WL_SOCKET_WRITEABLE);
}

/* Begins to connect: the addresses are known, or as many as will be. */
static void
begin_to_connect(PoolConn *conn)
{
	const PoolConninfo *conninfo = pool_config_of(conn->pool, conn->pool->id);
	const char *problem = "the options of the pool are not known any more";

	if (conninfo != NULL)
		conn->addresses =
			pool_addresses_make(pool_config_hosts(conn->pool), &problem);
	if (conn->addresses != NULL)
	{
		if (problem != NULL)
			pool_connect_error_set(&conn->skipped_error,
								   ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
								   problem);
		connect_now(conn, conninfo);
	}
	else
		pool_attempt_fail_with(conn,
							   ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
							   problem);
}

/* Goes on with the look-up, and begins to connect if all addresses are known. */
static void
continue_look_up(PoolConn *conn)
{
	if (pool_config_of(conn->pool, conn->pool->id) == NULL ||
		pool_hosts_look_up(pool_config_hosts(conn->pool)))
		begin_to_connect(conn);
}

/*
 * Ends the attempt if the connection was retired meanwhile; returns whether it
 * did.  An attempt must not go on with what the options say now: a new password
 * is not for the old hosts.
 */
static bool
end_if_retired(PoolConn *conn)
{
	PoolConnectError none = {0};
	bool retired;

	LWLockAcquire(&conn->pool->lock, LW_SHARED);
	retired = conn->slot->close_reason != POOL_CLOSE_NONE;
	LWLockRelease(&conn->pool->lock);
	if (retired)
		pool_attempt_fail(conn, &none);
	return retired;
}

/* Goes on with an attempt.  Called for each of them in each round. */
void
pool_attempt_on_round(PoolConn *conn)
{
	if (!end_if_retired(conn) && conn->task == POOL_TASK_LOOK_UP)
		continue_look_up(conn);
}

/*
 * Begins an attempt in a slot that is CONNECTING; "beside": beside one that
 * hangs.  Its time is over when the next one may begin.
 */
void
pool_attempt_begin(Pool *pool, PoolSlot *slot, bool beside)
{
	PoolConn *conn;

	if (!AcquireExternalFD())
	{
		PoolConnectError error;

		pool_connect_error_set(&error, ERRCODE_INSUFFICIENT_RESOURCES,
							   POOL_CONNECT_ERROR_FILES);
		pool_attempt_fail_slot(pool, slot, &error, false);
		return;
	}
	conn = pool_conn_open(pool, slot);
	if (beside)
		conn->give_up =
			pool_clock_after_ms(pool_backoff_hangs_after_ms(pool) * 9 / 10);
	POOL_FAULT_POINT(connect_begin);
	begin_task(conn, POOL_TASK_LOOK_UP);
	continue_look_up(conn);
}

/*
 * libpq has connected: takes what the worker keeps of the connection out of
 * libpq, and begins to relay if it is encrypted.  Returns false if the attempt
 * has failed by that.
 */
static bool
accept_connection(PoolConn *conn)
{
	const char *problem;

	if (conn->pool->key.needs_password && !PQconnectionUsedPassword(conn->pg))
	{
		pool_attempt_fail_with(conn,
							   ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED,
							   pool_target_is_string(&conn->pool->key)
								   ? "password is required: the remote did not "
									 "ask for the password of the connection string"
								   : "password is required: the remote did not "
									 "ask for the password of the user mapping");
		return false;
	}
	if ((problem = pool_relay_begin(&conn->relay, conn->pg)) != NULL)
	{
		pool_attempt_fail_with(conn, ERRCODE_INSUFFICIENT_RESOURCES, problem);
		return false;
	}

	pool_addresses_free(conn->addresses);
	conn->addresses = NULL;
	pool_cancel_key_take(&conn->cancel_key, conn->pg);
	pool_parameters_take(&conn->parameters, conn->pg);
	PQsetErrorVerbosity(conn->pg, PQERRORS_DEFAULT);
	return true;
}

/* libpq has connected: has the connection leased to a waiter, or makes it IDLE. */
static void
finish_attempt(PoolConn *conn)
{
	Pool *pool = conn->pool;
	PoolSlot *slot = conn->slot;
	char address[POOL_ADDRESS_LEN];
	const char *version = NULL;
	const char *cipher = NULL;
	int remote_pid = PQbackendPID(conn->pg);
	PoolWakes wakes = {0};

	POOL_FAULT_POINT(connect_ready);
	if (!accept_connection(conn))
		return;
	POOL_FAULT_POINT(connect_accepted);

	pool_addresses_describe(conn->pg, address, sizeof(address));
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
		pool_backoff_overtake(pool, slot);
	}
	pool_queue_offer(pool, slot, &wakes);
	if (pool_slot_count_live(pool) >= pool->prewarm)
		pool->prewarm = 0;
	POOL_FAULT_POINT(connect_offered_locked);
	LWLockRelease(&pool->lock);

	POOL_FAULT_POINT(connect_wake);
	pool_wake_sessions(&wakes);
	POOL_FAULT_POINT(connect_done);
	ConditionVariableBroadcast(&pool->changed);
	if (pool_guc_log_connections)
		ereport(LOG,
				(errmsg("connected pool for server \"%s\" to %s, remote process %d",
						NameStr(pool->server_name), address, remote_pid)));
}

/* Begins the time anew if libpq has gone on to another address. */
static void
note_address(PoolConn *conn)
{
	int address = pool_addresses_current(conn->addresses, conn->pg);

	if (address == conn->address)
		return;
	conn->address = address;
	begin_task(conn, POOL_TASK_CONNECT);
}

/*
 * The address that is tried will not do, for that reason: leaves it out and
 * begins again with the others, if there are any.
 */
static void
skip_address(PoolConn *conn, const char *why)
{
	char message[POOL_ERROR_LEN];
	PoolConnectError error;
	const PoolConninfo *conninfo = pool_config_of(conn->pool, conn->pool->id);

	snprintf(message, sizeof(message),
			 "connection to server at \"%s\", port %s failed: %s",
			 PQhost(conn->pg) ? PQhost(conn->pg) : "",
			 PQport(conn->pg) ? PQport(conn->pg) : "", why);
	pool_connect_error_set(&error,
						   ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION,
						   message);
	if (conn->skipped_error.message[0] != '\0')
		pool_connect_error_prepend(&error, &conn->skipped_error);
	if (conninfo == NULL || !pool_addresses_skip(conn->addresses, conn->address))
	{
		pool_attempt_fail(conn, &error);
		return;
	}
	conn->skipped_error = error;
	pool_conn_disconnect(conn);
	connect_now(conn, conninfo);
}

/* Has OpenSSL bytes that libpq has not read, and that show on no socket? */
static bool
has_decrypted(PGconn *pg)
{
	return PQsslInUse(pg) && SSL_pending(PQsslStruct(pg, "OpenSSL")) > 0;
}

/*
 * Has libpq go on, as far as it can with what has come.  OpenSSL's queue of
 * errors is the whole process's, and libpq tells the oldest in it; what another
 * connection has left there is not for this one.
 */
static PostgresPollingStatusType
poll_libpq(PoolConn *conn)
{
	PostgresPollingStatusType status;

	do
	{
		ERR_clear_error();
		status = PQconnectPoll(conn->pg);
	} while (
		status == PGRES_POLLING_READING &&
		(pool_feed_has_more(&conn->feed, conn->pg) || has_decrypted(conn->pg)));
	return status;
}

/* Waits for what libpq waits for. */
static void
watch_for_libpq(PoolConn *conn, PostgresPollingStatusType status)
{
	uint32 events = status == PGRES_POLLING_READING ? WL_SOCKET_READABLE
													: WL_SOCKET_WRITEABLE;

	if (!pool_feed_keep_up(&conn->feed, conn->pg))
	{
		pool_attempt_fail_with(conn, ERRCODE_INSUFFICIENT_RESOURCES,
							   POOL_CONNECT_ERROR_FILES);
		return;
	}
	if (conn->feed.remote != PGINVALID_SOCKET)
		events |= pool_feed_send(&conn->feed);
	pool_conn_watch_remote(conn, events);
}

/* Has libpq go on, since something happened on its socket. */
void
pool_attempt_on_event(PoolConn *conn)
{
	PostgresPollingStatusType status;

	POOL_FAULT_POINT(connect_event);
	if (!pool_feed_refill(&conn->feed))
	{
		skip_address(conn, psprintf("more than %d kB came before it was ready",
									POOL_FEED_MAX_KB));
		return;
	}
	status = poll_libpq(conn);
	note_address(conn);
	switch (status)
	{
		case PGRES_POLLING_OK:
			if (pool_feed_has_more(&conn->feed, conn->pg))
			{
				/*
				 * It would be missing in what is read from the socket.  Of a
				 * connection without TLS libpq has read the whole portion by now;
				 * with TLS there may be a record that it has not.
				 */
				pool_attempt_fail_with(conn, ERRCODE_PROTOCOL_VIOLATION,
									   "the remote went on sending when it was ready");
				break;
			}
			(void) pool_feed_keep_up(&conn->feed, conn->pg);
			finish_attempt(conn);
			break;
		case PGRES_POLLING_FAILED:
			pool_attempt_fail_from_libpq(conn);
			break;
		default:
			watch_for_libpq(conn, status);
			break;
	}
}

/* The look-up, or an address, took longer than connect_timeout. */
void
pool_attempt_on_timeout(PoolConn *conn)
{
	if (end_if_retired(conn))
		return;
	if (conn->task == POOL_TASK_LOOK_UP)
		begin_to_connect(conn);
	else
		skip_address(conn, "timeout expired");
}
