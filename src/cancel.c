/*
 * cancel.c
 *		Cancelling a statement on a remote, from the worker.
 *
 * A session that gives up on a statement leaves its slot to the worker as
 * CLOSING and is free at once; the cancel request is the worker's business,
 * which has the key and never waits for one connection alone.  The slot stays
 * taken until the remote has gone, so no cancel can hit a later user.
 *
 * libpq's own PQcancel() blocks, and nothing before libpq 17 gives the key
 * away but the trace of the messages; so the worker listens to that while it
 * connects.  The request itself is 16 bytes on a connection of its own
 * (PostgreSQL documentation, "Frontend/Backend Protocol", CancelRequest).
 */
#include "postgres.h"

#include <unistd.h>

#include "port/pg_bswap.h"
#include "storage/latch.h"

#include "cancel.h"
#include "compat.h"

/* Enough for the start of a session, with room for some notices. */
#define TRACE_SIZE (64 * 1024)

/* A request may come before the statement that it is for; so it is repeated. */
#define FIRST_RETRY_US INT64CONST(50000)
#define MAX_RETRY_US INT64CONST(1000000)

/*
 * From now on what libpq says and hears is written down.  That has the
 * password in it, so the memory is of a fixed place and wiped afterwards.
 */
void
pool_trace_begin(PoolTrace *trace, PGconn *conn)
{
	trace->buffer = malloc(TRACE_SIZE);
	if (trace->buffer == NULL)
		return;
	trace->file = fmemopen(trace->buffer, TRACE_SIZE, "w");
	if (trace->file == NULL)
	{
		free(trace->buffer);
		trace->buffer = NULL;
		return;
	}
	setvbuf(trace->file, NULL, _IONBF, 0);
	PQtrace(conn, trace->file);
	PQsetTraceFlags(conn, PQTRACE_SUPPRESS_TIMESTAMPS);
}

/*
 * Ends that, and finds the cancel key of that backend in it, if "key" is not
 * NULL.  The caller has called PQuntrace().
 */
void
pool_trace_end(PoolTrace *trace, PoolCancelKey *key, int backend_pid)
{
	if (trace->file == NULL)
		return;
	fputc('\0', trace->file);
	fclose(trace->file);
	trace->buffer[TRACE_SIZE - 1] = '\0';
	if (key != NULL)
	{
		const char *line = trace->buffer;

		/* The last one counts: hosts tried before may have sent one too. */
		while ((line = strstr(line, "\tBackendKeyData\t")) != NULL)
		{
			key->known = sscanf(line, "\tBackendKeyData\t %d %d", &key->pid,
								&key->secret) == 2;
			line++;
		}
		key->known = key->known && key->pid == backend_pid;
	}
	explicit_bzero(trace->buffer, TRACE_SIZE);
	free(trace->buffer);
	trace->file = NULL;
	trace->buffer = NULL;
}

static bool
send_request(pgsocket sock, const PoolCancelKey *key)
{
	/* The code of a cancel request is 1234 and 5678. */
	uint32 packet[4] = {pg_hton32(16), pg_hton32((1234 << 16) | 5678),
						pg_hton32((uint32) key->pid),
						pg_hton32((uint32) key->secret)};

	return send(sock, packet, sizeof(packet), MSG_DONTWAIT | MSG_NOSIGNAL) ==
		   sizeof(packet);
}

/* Connects to where the connection goes, without waiting. */
static pgsocket
connect_like(PGconn *conn)
{
	struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(address);
	pgsocket sock;

	if (getpeername(PQsocket(conn), (struct sockaddr *) &address, &len) < 0)
		return PGINVALID_SOCKET;
	sock = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
				  0);
	if (sock == PGINVALID_SOCKET)
		return sock;
	if (connect(sock, (struct sockaddr *) &address, len) < 0 &&
		errno != EINPROGRESS)
	{
		close(sock);
		return PGINVALID_SOCKET;
	}
	return sock;
}

/*
 * Goes on with a cancel request: begins one when it is time, sends it when
 * connected, ends it when the remote has closed.  Returns true each time one
 * was sent.  To be called whenever its socket is ready or "next" has come.
 */
bool
pool_cancel_step(PoolCancel *cancel, const PoolCancelKey *key, PGconn *conn)
{
	char byte;
	ssize_t got;

	if (!key->known)
	{
		cancel->next = PG_INT64_MAX;
		return false;
	}
	if (pool_clock_us() >= cancel->next)
	{
		int64 pause = FIRST_RETRY_US << Min(cancel->attempts, 10);

		pool_cancel_end(cancel);
		cancel->attempts++;
		cancel->next = pool_clock_us() + Min(pause, MAX_RETRY_US);
		cancel->sent = false;
		cancel->sock = connect_like(conn);
		cancel->serial++;
		cancel->events = WL_SOCKET_WRITEABLE;
	}
	if (cancel->sock == PGINVALID_SOCKET)
		return false;
	if (!cancel->sent)
	{
		cancel->sent = send_request(cancel->sock, key);
		if (cancel->sent)
		{
			cancel->events = WL_SOCKET_READABLE;
			cancel->serial++;
			return true;
		}
		if (errno != EAGAIN && errno != ENOTCONN && errno != EINTR)
			pool_cancel_end(cancel);
		return false;
	}
	got = recv(cancel->sock, &byte, 1, MSG_DONTWAIT);
	if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
		pool_cancel_end(cancel);
	return false;
}

/* Gives up on it. */
void
pool_cancel_end(PoolCancel *cancel)
{
	if (cancel->sock == PGINVALID_SOCKET)
		return;
	close(cancel->sock);
	cancel->sock = PGINVALID_SOCKET;
	cancel->serial++;
}
