/*
 * relay.c
 *		An encrypted connection, as sessions can use it.
 *
 * The state of a TLS session is in libpq's memory and cannot travel with the
 * descriptor.  So the worker makes a socket pair, gives sessions one end of it
 * instead of the remote's socket, and passes bytes between the other end and
 * the remote without looking at them.  The pair lives as long as the
 * connection, so sessions keep and use their end like the socket of a
 * connection that is not encrypted.
 *
 *		remote  --TLS-->  to_session  --pair-->  session
 *		remote  <--TLS--  to_remote   <--pair--  session
 *
 * Each direction has one buffer and is read again only when that is empty: so
 * memory is bounded, and whoever is slow slows down the other side.  A call
 * moves at most one buffer in each direction, so that no connection keeps the
 * others waiting; what is left to do shows in the events that are waited for.
 *
 * While the worker itself speaks to the remote (a reset), it uses the same TLS
 * session (pool_relay_recv, pool_relay_send), and nothing is relayed.  That is
 * safe only when nothing is on its way (pool_relay_suspend), or nobody wants what is
 * (pool_relay_take_over).
 */
#include "postgres.h"

#include <sys/socket.h>
#include <unistd.h>

#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "base/fault.h"
#include "worker/connect_error.h"
#include "worker/relay.h"
#include "worker/tls.h"

#define RELAY_BUFFER_SIZE (4 * POOL_RELAY_RECORD)

static bool
is_empty(const PoolRelayBuffer *buffer)
{
	return buffer->start == buffer->end;
}

static void
clear(PoolRelayBuffer *buffer)
{
	buffer->start = buffer->end = 0;
}

/*
 * Nothing more comes from the remote, or is sent to it; "failure" as in
 * PoolRelay.
 */
static void
end_remote(PoolRelay *relay, const char *failure)
{
	relay->remote_ended = true;
	relay->failure = failure;
	clear(&relay->to_remote);
}

/* Reads what the remote has sent, as far as there is room. */
static void
read_remote(PoolRelay *relay)
{
	PoolRelayBuffer *buffer = &relay->to_session;
	PoolTlsStop stop;

	relay->read_wants = WL_SOCKET_READABLE;
	while (buffer->end < RELAY_BUFFER_SIZE)
	{
		int got = pool_tls_read(relay->ssl, buffer->data + buffer->end,
								RELAY_BUFFER_SIZE - buffer->end, &stop);

		buffer->end += got;
		if (got == 0)
		{
			relay->read_wants = stop.events;
			if (stop.events == 0)
				end_remote(relay, stop.failure);
			break;
		}
		/* Asking the kernel once more would mostly be in vain. */
		if (!pool_tls_has_unread(relay->ssl))
			break;
	}
	relay->maybe_unread = buffer->end == RELAY_BUFFER_SIZE;
}

/* Passes on to the session what was read, as far as the pair has room. */
static void
write_session(PoolRelay *relay)
{
	PoolRelayBuffer *buffer = &relay->to_session;
	ssize_t sent =
		send(relay->worker_end, buffer->data + buffer->start,
			 buffer->end - buffer->start, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent > 0)
		buffer->start += sent;
	else if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
	{
		/* The rest is lost, so nothing that comes later may follow. */
		end_remote(relay, strerror(errno));
		buffer->start = buffer->end;
	}
	if (is_empty(buffer))
		clear(buffer);
}

/* Reads what the session has sent. */
static void
read_session(PoolRelay *relay)
{
	PoolRelayBuffer *buffer = &relay->to_remote;
	ssize_t got =
		recv(relay->worker_end, buffer->data, RELAY_BUFFER_SIZE, MSG_DONTWAIT);

	if (got == 0)
		end_remote(relay, NULL); /* a session has shut the pair */
	else if (got > 0 && !relay->remote_ended)
		buffer->end = (int) got;
}

/* Passes on to the remote what was read: all or nothing, as pool_tls_write() has it. */
static void
write_remote(PoolRelay *relay)
{
	PoolRelayBuffer *buffer = &relay->to_remote;
	PoolTlsStop stop;

	if (pool_tls_write(relay->ssl, buffer->data, buffer->end, &stop) == 0)
	{
		relay->write_wants = stop.events;
		if (stop.events != 0)
			return;
		end_remote(relay, stop.failure ? stop.failure : "TLS error");
	}
	clear(buffer);
}

/* Sets what is to be waited for. */
static void
set_events(PoolRelay *relay)
{
	relay->remote_events = relay->session_events = 0;
	if (!is_empty(&relay->to_remote))
		relay->remote_events |= relay->write_wants;
	else if (relay->worker_end != PGINVALID_SOCKET)
		relay->session_events |= WL_SOCKET_READABLE;

	/*
	 * What is unread shows on no socket.  The pair can mostly be written to, so
	 * waiting for that comes back here when other connections had their turn.
	 */
	if (!is_empty(&relay->to_session) || relay->maybe_unread)
		relay->session_events |= WL_SOCKET_WRITEABLE;
	else if (!relay->remote_ended)
		relay->remote_events |= relay->read_wants;

	/* A socket with nothing to wait for would have to leave the wait set. */
	if (relay->remote_events == 0 && !relay->remote_close_seen)
		relay->remote_events = WL_SOCKET_CLOSED;
	if (relay->session_events == 0 && !relay->session_close_seen)
		relay->session_events = WL_SOCKET_CLOSED;
}

/* Makes the socket pair; false if that is not possible. */
static bool
make_pair(int pair[2])
{
	if (!AcquireExternalFD())
		return false;
	if (AcquireExternalFD())
	{
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
					   pair) == 0)
			return true;
		ReleaseExternalFD();
	}
	ReleaseExternalFD();
	return false;
}

/*
 * Begins to relay if the connection, which libpq has just made, is encrypted.
 * Returns NULL, or a message if that is not possible.
 */
const char *
pool_relay_begin(PoolRelay *relay, PGconn *conn)
{
	int pair[2];

	memset(relay, 0, sizeof(*relay));
	relay->worker_end = relay->session_end = PGINVALID_SOCKET;
	if (!PQsslInUse(conn))
		return NULL;
	if (pool_tls_of(conn) == NULL)
		return "libpq does not use OpenSSL";

	if (!make_pair(pair))
		return POOL_CONNECT_ERROR_FILES;
	relay->ssl = pool_tls_of(conn);
	relay->worker_end = pair[0];
	relay->session_end = pair[1];
	relay->to_session.data =
		MemoryContextAlloc(TopMemoryContext, 2 * RELAY_BUFFER_SIZE);
	relay->to_remote.data = relay->to_session.data + RELAY_BUFFER_SIZE;
	POOL_FAULT_POINT(relay_begun);
	pool_relay_resume(relay);
	return NULL;
}

/*
 * Passes on what can be passed on, after these events on the remote's socket
 * and on the worker's end of the pair.  The caller then waits for
 * relay->remote_events and relay->session_events.
 */
void
pool_relay_transfer(PoolRelay *relay, uint32 remote_events,
					uint32 session_events)
{
	if (remote_events & WL_SOCKET_CLOSED)
		relay->remote_close_seen = true;
	if (session_events & WL_SOCKET_CLOSED)
		relay->session_close_seen = true;

	if (is_empty(&relay->to_session) && !relay->remote_ended &&
		(remote_events != 0 || relay->maybe_unread))
		read_remote(relay);
	POOL_FAULT_POINT(relay_read);
	if (!is_empty(&relay->to_session))
		write_session(relay);
	if (is_empty(&relay->to_remote) && (session_events & WL_SOCKET_READABLE))
		read_session(relay);
	if (!is_empty(&relay->to_remote))
		write_remote(relay);
	if (relay->remote_ended && is_empty(&relay->to_session))
		pool_relay_disconnect_sessions(relay);
	set_events(relay);
}

/*
 * Stops relaying, because the worker itself is to use the connection.  Returns
 * false if it cannot, because something is still on its way between the session
 * and the remote.
 */
bool
pool_relay_suspend(PoolRelay *relay)
{
	char byte;

	if (!is_empty(&relay->to_session) || !is_empty(&relay->to_remote) ||
		relay->remote_ended || pool_tls_has_unread(relay->ssl) ||
		recv(relay->worker_end, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
		return false;

	/* A reset waits for the socket, and must not find that TLS has read it. */
	pool_tls_read_ahead(relay->ssl, false);
	return true;
}

/*
 * Stops relaying though the remote may be sending, because the worker itself is to
 * use the connection, and can tell what is for it.  What the session has sent is
 * passed on; what the remote has sent, and no session is to see any more, is thrown
 * away.  Returns false if not all could be passed on.
 */
bool
pool_relay_take_over(PoolRelay *relay)
{
	char waste[1024];

	if (is_empty(&relay->to_remote))
		read_session(relay);
	if (!is_empty(&relay->to_remote))
		write_remote(relay);
	clear(&relay->to_session);
	while (recv(relay->session_end, waste, sizeof(waste), MSG_DONTWAIT) > 0)
		;
	pool_tls_read_ahead(relay->ssl, false);
	return is_empty(&relay->to_remote) && !relay->remote_ended &&
		   recv(relay->worker_end, waste, 1, MSG_PEEK | MSG_DONTWAIT) < 0;
}

/* The worker itself could not read or write: sets errno, returns -1. */
static ssize_t
nothing_moved(PoolRelay *relay, const PoolTlsStop *stop)
{
	if (stop->events != 0)
		errno = EAGAIN;
	else
	{
		relay->remote_ended = true;
		errno = ECONNRESET;
	}
	return -1;
}

/*
 * Reads or writes by the worker itself, while nothing is relayed: as recv() and
 * send() on a socket that does not block, -1 with EAGAIN included.  What is to
 * be read shows on the socket if the buffer has POOL_RELAY_RECORD bytes.
 */
ssize_t
pool_relay_recv(PoolRelay *relay, char *data, size_t size)
{
	PoolTlsStop stop;
	int got = pool_tls_read(relay->ssl, data, (int) size, &stop);

	return got > 0 ? got : nothing_moved(relay, &stop);
}

ssize_t
pool_relay_send(PoolRelay *relay, const char *data, size_t len)
{
	PoolTlsStop stop;
	int sent = pool_tls_write(relay->ssl, data, (int) len, &stop);

	return sent > 0 ? sent : nothing_moved(relay, &stop);
}

/* Relays again: the worker itself does not use the connection any more. */
void
pool_relay_resume(PoolRelay *relay)
{
	pool_tls_read_ahead(relay->ssl, true);
	relay->maybe_unread = pool_tls_has_unread(relay->ssl);
	relay->read_wants = WL_SOCKET_READABLE;
	set_events(relay);
}

/*
 * Ends the TLS session: sends a message (len 0: none) and then close_notify to
 * the remote, if that can be done at once.  Does nothing if libpq has found the
 * connection broken and given up the TLS session.
 */
void
pool_relay_shutdown(PoolRelay *relay, PGconn *conn, const char *message, int len)
{
	if (pool_tls_of(conn) == relay->ssl && !relay->remote_ended &&
		is_empty(&relay->to_remote))
		pool_tls_shutdown(relay->ssl, message, len);
}

/*
 * Closes the worker's end of the pair, if it is open, so that sessions see the
 * end of the connection: as a close, or as a connection reset if reading from
 * the remote failed.  A socket pair is reset when one end is closed with
 * something unread.
 */
void
pool_relay_disconnect_sessions(PoolRelay *relay)
{
	if (relay->ssl == NULL || relay->worker_end == PGINVALID_SOCKET)
		return;
	if (relay->failure != NULL)
		(void) send(relay->session_end, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(relay->worker_end);
	relay->worker_end = PGINVALID_SOCKET;
}

/* Frees all that belongs to the relay, if there is one. */
void
pool_relay_free(PoolRelay *relay)
{
	if (relay->ssl == NULL)
		return;
	pool_relay_disconnect_sessions(relay);
	close(relay->session_end);
	ReleaseExternalFD();
	ReleaseExternalFD();
	pfree(relay->to_session.data);
	memset(relay, 0, sizeof(*relay));
}
