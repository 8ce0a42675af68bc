/*
 * cancel.c
 *		Cancelling a statement on a remote, from the worker.
 *
 * A session that gives up on a statement leaves its slot to the worker as
 * CLOSING and is free at once; the cancel request is sent by the worker, which
 * has the key and never waits for one connection alone.  The slot is not free
 * until the remote has gone, so no cancel can hit a later session.
 *
 * libpq's own PQcancel() blocks, so the request is sent here, on a connection
 * of its own (PostgreSQL documentation, "Frontend/Backend Protocol",
 * CancelRequest).  It comes from cancel_key.c.
 *
 * The key of an encrypted connection is not sent in the clear.  libpq makes an
 * encrypted connection with the same options to the same host.  Where libpq
 * would send the start-up packet, the request is sent instead.
 */
#include "postgres.h"

#include <openssl/ssl.h>
#include <poll.h>
#include <unistd.h>

#include "storage/latch.h"

#include "base/clock.h"
#include "worker/cancel.h"
#include "worker/conn.h"

/*
 * A request may come before the statement that it is for; so it is repeated,
 * after a time that doubles from the first to the longest.
 */
#define FIRST_RETRY_US (50 * POOL_CLOCK_US_PER_MS)
#define MAX_RETRY_US (1 * POOL_CLOCK_US_PER_S)
#define MAX_DOUBLINGS 10 /* more would be beyond MAX_RETRY_US anyway */

/* How long it may take to connect and send one. */
#define ATTEMPT_US (2 * POOL_CLOCK_US_PER_S)

/* Parameters of a connection, the ending NULL included. */
#define MAX_PARAMETERS 128

/* Begins to connect to the address that the connection has. */
static void
connect_plain(PoolCancel *cancel, PGconn *conn)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(address);

	if (getpeername(PQsocket(conn), (struct sockaddr *) &address, &len) < 0)
		return;
	cancel->sock = socket(address.ss_family,
						  SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (cancel->sock != PGINVALID_SOCKET &&
		connect(cancel->sock, (struct sockaddr *) &address, len) < 0 &&
		errno != EINPROGRESS)
		pool_cancel_end(cancel);
}

/*
 * Returns the value of the connection's option for a cancel request; NULL to
 * leave it out, since it is about more than the way to the host.
 */
static const char *
option_for_request(const PQconninfoOption *option, const PGconn *conn)
{
	const char *name = option->keyword;
	const char *value = option->val;

	if (strcmp(name, "host") == 0)
		return PQhost(conn);
	if (strcmp(name, "hostaddr") == 0)
		return PQhostaddr(conn);
	if (strcmp(name, "port") == 0)
		return PQport(conn);
	if (strcmp(name, "password") == 0 ||
		strcmp(name, "target_session_attrs") == 0)
		return NULL;

	/* The connection could do without TLS, but it has it. */
	if (strcmp(name, "sslmode") == 0 && value &&
		(strcmp(value, "allow") == 0 || strcmp(value, "prefer") == 0))
		return "require";
	return value;
}

/* Has libpq begin an encrypted connection to the host of the connection. */
static void
connect_encrypted(PoolCancel *cancel, PGconn *conn)
{
	PQconninfoOption *options = PQconninfo(conn);
	const char *keywords[MAX_PARAMETERS];
	const char *values[MAX_PARAMETERS];
	int n = 0;

	for (PQconninfoOption *option = options;
		 option && option->keyword && n < (int) lengthof(keywords) - 1; option++)
	{
		keywords[n] = option->keyword;
		values[n] = option_for_request(option, conn);
		if (values[n] != NULL)
			n++;
	}
	keywords[n] = values[n] = NULL;
	cancel->pg = PQconnectStartParams(keywords, values, 0);
	PQsetNoticeReceiver(cancel->pg, pool_conn_ignore_notice, NULL);
	for (PQconninfoOption *option = options; option && option->keyword; option++)
	{
		if (option->val != NULL && strchr(option->dispchar, '*'))
			explicit_bzero(option->val, strlen(option->val));
	}
	PQconninfoFree(options);
	cancel->sock = PQsocket(cancel->pg);
	if (cancel->sock == PGINVALID_SOCKET)
		pool_cancel_end(cancel);
}

/* Sets when to begin the next request. */
static void
plan_next(PoolCancel *cancel)
{
	int64 pause = FIRST_RETRY_US << Min(cancel->attempts - 1, MAX_DOUBLINGS);

	cancel->next = pool_clock_us() + Min(pause, MAX_RETRY_US);
}

/* Begins a request. */
static void
begin(PoolCancel *cancel, const PoolCancelKey *key, PGconn *conn)
{
	pool_cancel_end(cancel);
	cancel->sent = false;
	cancel->next = pool_clock_us() + ATTEMPT_US;
	if (key->encrypted)
		connect_encrypted(cancel, conn);
	else
		connect_plain(cancel, conn);
	cancel->attempts++;
	cancel->serial++;
	cancel->events = WL_SOCKET_WRITEABLE;
	if (cancel->sock == PGINVALID_SOCKET)
		plan_next(cancel);
}

/*
 * Sends the request if it can be sent by now; returns whether it did.  Ends it
 * if it fails.
 */
static bool
send_plain(PoolCancel *cancel, const PoolCancelKey *key)
{
	ssize_t sent =
		send(cancel->sock, key->request, key->len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent < 0 && errno != EAGAIN && errno != ENOTCONN && errno != EINTR)
		pool_cancel_end(cancel);
	return sent == (ssize_t) key->len;
}

/*
 * Has what libpq waits for happened?  PQconnectPoll() relies on its caller to
 * know that, and would block.
 */
static bool
is_ready(const PoolCancel *cancel)
{
	struct pollfd wanted = {.fd = cancel->sock,
							.events = cancel->events == WL_SOCKET_READABLE
										  ? POLLIN
										  : POLLOUT};

	return poll(&wanted, 1, 0) == 1;
}

/*
 * Has libpq go on to connect, and sends the request if the connection is
 * encrypted by now; returns whether it did.  Ends it if it fails.
 */
static bool
send_encrypted(PoolCancel *cancel, const PoolCancelKey *key)
{
	PostgresPollingStatusType status;

	if (!is_ready(cancel))
		return false;
	status = PQconnectPoll(cancel->pg);
	cancel->sock = PQsocket(cancel->pg);
	cancel->serial++;
	cancel->events = status == PGRES_POLLING_READING ? WL_SOCKET_READABLE
													 : WL_SOCKET_WRITEABLE;
	if (status != PGRES_POLLING_READING && status != PGRES_POLLING_WRITING)
		pool_cancel_end(cancel);
	else if (PQstatus(cancel->pg) == CONNECTION_MADE && PQsslInUse(cancel->pg))
	{
		if (SSL_write(PQsslStruct(cancel->pg, "OpenSSL"), key->request,
					  (int) key->len) == (int) key->len)
			return true;
		pool_cancel_end(cancel); /* libpq would go on to log in */
	}
	return false;
}

/*
 * Goes on with cancel requests: begins one when it is time, sends it when
 * connected, ends it when the remote has closed.  Returns true each time one
 * was sent.  To be called whenever its socket is ready and when "next" has come.
 */
bool
pool_cancel_continue(PoolCancel *cancel, const PoolCancelKey *key, PGconn *conn)
{
	char waste[1024];
	ssize_t got;

	if (key->len == 0)
	{
		cancel->next = PG_INT64_MAX;
		return false;
	}
	if (pool_clock_us() >= cancel->next)
		begin(cancel, key, conn);
	if (cancel->sock == PGINVALID_SOCKET)
		return false;
	if (!cancel->sent)
	{
		cancel->sent =
			cancel->pg ? send_encrypted(cancel, key) : send_plain(cancel, key);
		if (cancel->sent)
		{
			cancel->events = WL_SOCKET_READABLE;
			cancel->requests++;
			cancel->serial++;
		}
		if (cancel->sent || cancel->sock == PGINVALID_SOCKET)
			plan_next(cancel);
		return cancel->sent;
	}
	got = recv(cancel->sock, waste, sizeof(waste), MSG_DONTWAIT);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		pool_cancel_end(cancel);
	return false;
}

/* Ends the request under way, if there is one. */
void
pool_cancel_end(PoolCancel *cancel)
{
	if (cancel->pg != NULL)
		PQfinish(cancel->pg);
	else if (cancel->sock != PGINVALID_SOCKET)
		close(cancel->sock);
	else
		return;
	cancel->pg = NULL;
	cancel->sock = PGINVALID_SOCKET;
	cancel->serial++;
}
