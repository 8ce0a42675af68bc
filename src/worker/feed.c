/*
 * feed.c
 *		What libpq reads while it connects, in portions.
 *
 * Until a remote has let the client in, libpq takes from it only messages of a
 * few kilobytes.  After that, and before the first ReadyForQuery, it takes all
 * that a session may send: parameters and notifications without end, which it
 * keeps, and single messages of a gigabyte, for which it goes on to read within
 * one call as fast as they come.  It has no option against that.
 *
 * Mostly ReadyForQuery comes in one packet with the rest.  If libpq is still
 * waiting for it when the remote has let it in, one end of a socket pair is put
 * in the place of its socket, and the remote's bytes are passed on through the
 * pair: one portion for each call of libpq, and no more than POOL_FEED_MAX_KB in
 * all.  In the end libpq gets its socket back.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "storage/fd.h"
#include "storage/latch.h"

#include "worker/feed.h"

/* What libpq gets at a time. */
#define PORTION 8192

/* Begins with libpq having its socket itself. */
void
pool_feed_init(PoolFeed *feed)
{
	feed->remote = feed->inner = PGINVALID_SOCKET;
	feed->bytes = 0;
}

/* Has the remote let libpq in, without having said that it is ready? */
static bool
is_let_in(PGconn *conn)
{
	switch (PQstatus(conn))
	{
		case CONNECTION_AUTH_OK:
		case CONNECTION_CHECK_WRITABLE:
		case CONNECTION_CONSUME:
		case CONNECTION_CHECK_TARGET:
		case CONNECTION_CHECK_STANDBY:
			return true;
		default:
			return false;
	}
}

/* Puts a pair between libpq and its socket.  False: there is no descriptor. */
static bool
begin(PoolFeed *feed, pgsocket sock)
{
	int pair[2];

	if (!AcquireExternalFD())
		return false;
	if (!AcquireExternalFD())
	{
		ReleaseExternalFD();
		return false;
	}
	feed->remote = fcntl(sock, F_DUPFD_CLOEXEC, 0);
	if (feed->remote >= 0 &&
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
				   pair) == 0)
	{
		feed->inner = pair[0];
		(void) dup3(pair[1], sock, O_CLOEXEC);
		close(pair[1]);
		return true;
	}
	if (feed->remote >= 0)
		close(feed->remote);
	feed->remote = PGINVALID_SOCKET;
	ReleaseExternalFD();
	ReleaseExternalFD();
	return false;
}

/*
 * To be called after each step of libpq: begins or ends the passing on, as is
 * due in the state that libpq has come to.  Returns false if there is no
 * descriptor for it.
 */
bool
pool_feed_keep_up(PoolFeed *feed, PGconn *conn)
{
	bool wanted = is_let_in(conn);

	if (wanted && feed->remote == PGINVALID_SOCKET)
		return begin(feed, PQsocket(conn));
	if (!wanted && PQstatus(conn) == CONNECTION_OK)
		pool_feed_end(feed, PQsocket(conn));
	else if (!wanted)
		pool_feed_end(feed, PGINVALID_SOCKET);
	return true;
}

/* Passes on one portion; returns what recv() returned. */
static ssize_t
pass_on(pgsocket from, pgsocket to)
{
	char data[PORTION];
	ssize_t got = recv(from, data, sizeof(data), MSG_PEEK | MSG_DONTWAIT);
	ssize_t sent;

	if (got <= 0)
		return got;
	sent = send(to, data, got, MSG_DONTWAIT | MSG_NOSIGNAL);
	return sent > 0 ? recv(from, data, sent, MSG_DONTWAIT) : sent;
}

/*
 * To be called before each step of libpq: lets it have the next portion.  Returns
 * false if the remote has sent too much.
 */
bool
pool_feed_refill(PoolFeed *feed)
{
	ssize_t got;

	if (feed->remote == PGINVALID_SOCKET)
		return true;
	got = pass_on(feed->remote, feed->inner);
	if (got > 0)
		feed->bytes += (int) got;
	else if (got == 0 || (errno != EAGAIN && errno != EINTR))
		(void) shutdown(feed->inner, SHUT_WR);
	return feed->bytes <= POOL_FEED_MAX_KB * 1024;
}

static bool
has_unread(pgsocket sock)
{
	int unread = 0;

	return ioctl(sock, FIONREAD, &unread) == 0 && unread > 0;
}

/* Is there more of the portion for libpq to read? */
bool
pool_feed_has_more(const PoolFeed *feed, PGconn *conn)
{
	return feed->remote != PGINVALID_SOCKET && has_unread(PQsocket(conn));
}

/* Passes on what libpq sends; returns the events to wait for at the remote. */
uint32
pool_feed_send(PoolFeed *feed)
{
	while (pass_on(feed->inner, feed->remote) > 0)
		;
	return has_unread(feed->inner) ? WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE
								   : WL_SOCKET_READABLE;
}

/*
 * Ends the passing on, if there is any.  The socket takes the place that it had
 * in libpq; PGINVALID_SOCKET: libpq has closed that.
 */
void
pool_feed_end(PoolFeed *feed, pgsocket restore_to)
{
	if (feed->remote == PGINVALID_SOCKET)
		return;
	if (restore_to != PGINVALID_SOCKET)
		(void) dup3(feed->remote, restore_to, O_CLOEXEC);
	close(feed->remote);
	close(feed->inner);
	ReleaseExternalFD();
	ReleaseExternalFD();
	pool_feed_init(feed);
}
