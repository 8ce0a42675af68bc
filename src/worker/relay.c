/*
 * relay.c
 *		An encrypted connection, as sessions can use it.
 *
 * The state of a TLS session is in libpq's memory and cannot travel with the
 * descriptor.  So the worker makes a socket pair, gives sessions one end of it
 * instead of the remote's socket, and passes bytes between the other end and
 * the remote without looking at them.  The pair lives as long as the
 * connection, so copies of its end are kept and handed over exactly like
 * copies of a socket.
 *
 *		remote  --TLS-->  to_session  --pair-->  session
 *		remote  <--TLS--  to_remote   <--pair--  session
 *
 * Each direction has one buffer and is read again only when that is empty: so
 * memory is bounded, and whoever is slow slows down the other side.  A step
 * moves at most one buffer in each direction, so that no connection keeps the
 * others waiting; what is left to do shows in the events that are waited for.
 *
 * While the worker itself speaks to the remote (a reset), libpq uses the same
 * TLS session, and the relay rests.  That is safe only when nothing is on its
 * way (pool_relay_suspend).
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"

#include "worker/connect_error.h"
#include "worker/relay.h"

/* Four times the largest TLS record. */
#define RELAY_BUFFER_SIZE (64 * 1024)

static bool
is_empty(const PoolRelayBuffer *buffer)
{
	return buffer->start == buffer->end;
}

static void
empty(PoolRelayBuffer *buffer)
{
	buffer->start = buffer->end = 0;
}

/* No more comes from the remote; "failure" as in PoolRelay. */
static void
end_of_remote(PoolRelay *relay, const char *failure)
{
	relay->ended = true;
	relay->failure = failure;
	empty(&relay->to_remote);
}

/*
 * What SSL_read() or SSL_write() says when it did not do it.  Returns what it
 * waits for; 0 if it will never do it, and then *failure is the reason, NULL
 * for the end that the remote made.
 */
static uint32
what_it_wants(PoolRelay *relay, int result, const char **failure)
{
	int save_errno = errno;
	int error = SSL_get_error(relay->ssl, result);
	unsigned long detail = ERR_peek_error();

	*failure = NULL;
	switch (error)
	{
		case SSL_ERROR_WANT_READ:
			return WL_SOCKET_READABLE;
		case SSL_ERROR_WANT_WRITE:
			return WL_SOCKET_WRITEABLE;
		case SSL_ERROR_ZERO_RETURN:
			return 0;
		case SSL_ERROR_SYSCALL:
			if (result < 0 && save_errno != 0)
				*failure = strerror(save_errno);
			return 0;
		default:
#ifdef SSL_R_UNEXPECTED_EOF_WHILE_READING
			/* Closed without a word, as TCP without TLS does. */
			if (ERR_GET_REASON(detail) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
				return 0;
#endif
			*failure = ERR_reason_error_string(detail);
			if (*failure == NULL)
				*failure = "TLS error";
			return 0;
	}
}

/* Reads what the remote has sent, as far as there is room. */
static void
read_remote(PoolRelay *relay)
{
	PoolRelayBuffer *buffer = &relay->to_session;
	const char *failure;

	relay->read_wants = WL_SOCKET_READABLE;
	while (buffer->end < RELAY_BUFFER_SIZE)
	{
		int got;

		errno = 0;
		ERR_clear_error();
		got = SSL_read(relay->ssl, buffer->data + buffer->end,
					   RELAY_BUFFER_SIZE - buffer->end);
		if (got > 0)
			buffer->end += got;
		else
		{
			relay->read_wants = what_it_wants(relay, got, &failure);
			if (relay->read_wants == 0)
				end_of_remote(relay, failure);
			break;
		}
		/* Asking the kernel once more would mostly be in vain. */
		if (!SSL_has_pending(relay->ssl))
			break;
	}
	relay->unread = buffer->end == RELAY_BUFFER_SIZE;
}

static void
write_session(PoolRelay *relay)
{
	PoolRelayBuffer *buffer = &relay->to_session;
	ssize_t sent =
		send(relay->mine, buffer->data + buffer->start,
			 buffer->end - buffer->start, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (sent > 0)
		buffer->start += sent;
	else if (errno != EAGAIN && errno != EINTR && errno != ENOBUFS)
	{
		/* Never a hole in what the session reads. */
		end_of_remote(relay, strerror(errno));
		buffer->start = buffer->end;
	}
	if (is_empty(buffer))
		empty(buffer);
}

static void
read_session(PoolRelay *relay)
{
	PoolRelayBuffer *buffer = &relay->to_remote;
	ssize_t got =
		recv(relay->mine, buffer->data, RELAY_BUFFER_SIZE, MSG_DONTWAIT);

	if (got == 0)
		end_of_remote(relay, NULL); /* a session has shut the pair */
	else if (got > 0 && !relay->ended)
		buffer->end = (int) got;
}

/*
 * All or nothing: when SSL_write() was interrupted it must be called again
 * with the same bytes.  That the socket is broken it does not tell, since libpq
 * keeps that to itself until the remote's last words have been read.
 */
static void
write_remote(PoolRelay *relay)
{
	PoolRelayBuffer *buffer = &relay->to_remote;
	const char *failure;
	int sent;

	errno = 0;
	ERR_clear_error();
	sent = SSL_write(relay->ssl, buffer->data, buffer->end);
	if (sent <= 0)
	{
		relay->write_wants = what_it_wants(relay, sent, &failure);
		if (relay->write_wants != 0)
			return;
		end_of_remote(relay, failure ? failure : "TLS error");
	}
	empty(buffer);
}

static void
set_events(PoolRelay *relay)
{
	relay->remote_events = relay->session_events = 0;
	if (!is_empty(&relay->to_remote))
		relay->remote_events |= relay->write_wants;
	else if (relay->mine != PGINVALID_SOCKET)
		relay->session_events |= WL_SOCKET_READABLE;

	/* What is unread shows on no socket; so this comes back when others had
	 * their turn, for the pair can mostly be written to. */
	if (!is_empty(&relay->to_session) || relay->unread)
		relay->session_events |= WL_SOCKET_WRITEABLE;
	else if (!relay->ended)
		relay->remote_events |= relay->read_wants;

	/* A socket with nothing to wait for would have to leave the wait set. */
	if (relay->remote_events == 0 && !relay->remote_closed)
		relay->remote_events = WL_SOCKET_CLOSED;
	if (relay->session_events == 0 && !relay->session_closed)
		relay->session_events = WL_SOCKET_CLOSED;
}

static bool
acquire_pair(int pair[2])
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
 * Returns NULL, or what is wrong.
 */
const char *
pool_relay_begin(PoolRelay *relay, PGconn *conn)
{
	int pair[2];

	memset(relay, 0, sizeof(*relay));
	relay->mine = relay->theirs = PGINVALID_SOCKET;
	if (!PQsslInUse(conn))
		return NULL;
	if (PQsslStruct(conn, "OpenSSL") == NULL)
		return "libpq does not use OpenSSL";

	if (!acquire_pair(pair))
		return POOL_CONNECT_ERROR_FILES;
	relay->ssl = PQsslStruct(conn, "OpenSSL");
	relay->mine = pair[0];
	relay->theirs = pair[1];
	relay->to_session.data =
		MemoryContextAlloc(TopMemoryContext, 2 * RELAY_BUFFER_SIZE);
	relay->to_remote.data = relay->to_session.data + RELAY_BUFFER_SIZE;
	pool_relay_resume(relay);
	return NULL;
}

/*
 * Goes on, with what was seen on the remote's socket and on the pair.  The
 * caller then waits for relay->remote_events and relay->session_events.
 */
void
pool_relay_step(PoolRelay *relay, uint32 remote_events, uint32 session_events)
{
	if (remote_events & WL_SOCKET_CLOSED)
		relay->remote_closed = true;
	if (session_events & WL_SOCKET_CLOSED)
		relay->session_closed = true;

	if (is_empty(&relay->to_session) && !relay->ended &&
		(remote_events != 0 || relay->unread))
		read_remote(relay);
	if (!is_empty(&relay->to_session))
		write_session(relay);
	if (is_empty(&relay->to_remote) && (session_events & WL_SOCKET_READABLE))
		read_session(relay);
	if (!is_empty(&relay->to_remote))
		write_remote(relay);
	if (relay->ended && is_empty(&relay->to_session))
		pool_relay_hang_up(relay);
	set_events(relay);
}

/*
 * From now on the worker itself uses the connection.  Returns false if it
 * cannot, because something is still on its way between the two.
 */
bool
pool_relay_suspend(PoolRelay *relay)
{
	char byte;

	if (!is_empty(&relay->to_session) || !is_empty(&relay->to_remote) ||
		relay->ended || SSL_has_pending(relay->ssl) ||
		recv(relay->mine, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
		return false;

	/* libpq waits for the socket, and must not find that TLS has read it. */
	SSL_set_read_ahead(relay->ssl, 0);
	return true;
}

/*
 * Has the TLS session data for libpq that no longer shows on the socket?
 */
bool
pool_relay_has_more(const PoolRelay *relay)
{
	return relay->ssl != NULL && SSL_pending(relay->ssl) > 0;
}

/* The worker does not use the connection any more. */
void
pool_relay_resume(PoolRelay *relay)
{
	SSL_set_read_ahead(relay->ssl, 1);
	relay->unread = SSL_has_pending(relay->ssl);
	relay->read_wants = WL_SOCKET_READABLE;
	set_events(relay);
}

/*
 * Says a last word to the remote (len 0: none) and that it was the last, if
 * that can be done at once.  libpq gives up its TLS session when it finds the
 * connection broken.
 */
void
pool_relay_send_last(PoolRelay *relay, PGconn *conn, const char *last, int len)
{
	if (PQsslStruct(conn, "OpenSSL") != relay->ssl || relay->ended ||
		!is_empty(&relay->to_remote))
		return;
	ERR_clear_error();
	if (len > 0)
		(void) SSL_write(relay->ssl, last, len);
	(void) SSL_shutdown(relay->ssl);
}

/*
 * Sessions see the end of the connection: as a close, or as a reset if reading
 * from the remote failed.  A pair is reset when the other end is closed with
 * something unread.
 */
void
pool_relay_hang_up(PoolRelay *relay)
{
	if (relay->ssl == NULL || relay->mine == PGINVALID_SOCKET)
		return;
	if (relay->failure != NULL)
		(void) send(relay->theirs, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	close(relay->mine);
	relay->mine = PGINVALID_SOCKET;
}

/* Lets go of all that belongs to the relay, if there is one. */
void
pool_relay_end(PoolRelay *relay)
{
	if (relay->ssl == NULL)
		return;
	pool_relay_hang_up(relay);
	close(relay->theirs);
	ReleaseExternalFD();
	ReleaseExternalFD();
	pfree(relay->to_session.data);
	memset(relay, 0, sizeof(*relay));
}
