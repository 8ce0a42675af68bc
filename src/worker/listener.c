/*
 * listener.c
 *		The worker's end of what sessions ask (see handover.c).
 */
#include "postgres.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "worker/listener.h"

/*
 * The parameters that libpq and its users ask for.  libpq has no call to
 * enumerate what the server reported.
 */
static const char *const reported_parameters[] = {"server_version",
												  "server_encoding",
												  "client_encoding",
												  "application_name",
												  "is_superuser",
												  "session_authorization",
												  "DateStyle",
												  "IntervalStyle",
												  "TimeZone",
												  "integer_datetimes",
												  "standard_conforming_strings",
												  "default_transaction_read_only",
												  "in_hot_standby"};

/*
 * Makes the socket.  Whatever stood at its path before, a stale socket or a
 * planted link, is removed and not followed.
 */
int
pool_listener_open(int worker)
{
	struct sockaddr_un address;
	int sock;
	int on = 1;
	mode_t mask;
	bool bound;

	pool_wire_address(worker, &address);
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("could not create the pool worker's socket: %m")));
	if (unlink(address.sun_path) < 0 && errno != ENOENT)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", address.sun_path)));
	mask = umask(S_IRWXG | S_IRWXO | S_IXUSR);
	bound = setsockopt(sock, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0 &&
			bind(sock, (struct sockaddr *) &address, sizeof(address)) == 0;
	umask(mask);
	if (!bound)
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("could not bind the pool worker's socket \"%s\": %m",
						address.sun_path)));
	return sock;
}

/* Closes the socket; those whose requests are in it see that at once. */
void
pool_listener_close(int worker, int sock)
{
	struct sockaddr_un address;

	pool_wire_address(worker, &address);
	(void) unlink(address.sun_path);
	close(sock);
}

/* The last message; it may have a password in it. */
static char *buffer = NULL;

/* Wipes what was received last. */
void
pool_listener_wipe(void)
{
	if (buffer != NULL)
		explicit_bzero(buffer, POOL_MESSAGE_MAX);
}

/*
 * Receives the next request into memory of the current context.  Returns
 * false if there is none.  What is malformed, or comes from another user or
 * without a way to answer, is dropped with a line in the log.
 */
bool
pool_listener_receive(int sock, PoolListenerRequest *request)
{
	struct ucred peer;
	ssize_t len;

	if (buffer == NULL)
		buffer = MemoryContextAlloc(TopMemoryContext, POOL_MESSAGE_MAX);

	for (;;)
	{
		len = pool_wire_receive(sock, buffer, POOL_MESSAGE_MAX,
								&request->reply_fd, &peer);
		if (len < 0 && errno != EPROTO && errno != EMFILE)
			return false;
		if (len >= (ssize_t) sizeof(PoolMessage) && request->reply_fd >= 0 &&
			peer.pid > 0 && peer.uid == geteuid())
		{
			memcpy(&request->head, buffer, sizeof(PoolMessage));
			request->peer_pid = peer.pid;
			request->strings = pool_wire_strings(buffer + sizeof(PoolMessage),
												 len - sizeof(PoolMessage),
												 request->head.nstrings);
			if (request->strings != NULL)
				return true;
		}
		if (request->reply_fd >= 0)
			close(request->reply_fd);
		ereport(LOG,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("pool worker ignored a malformed request from process %d",
						(int) peer.pid)));
	}
}

static void
answer(PoolListenerRequest *request, const void *data, size_t len, int fd)
{
	/* If the session is gone there is nobody to tell. */
	(void) pool_wire_send(request->reply_fd, data, len, fd);
	close(request->reply_fd);
	request->reply_fd = -1;
}

/* Answers no. */
void
pool_listener_refuse(PoolListenerRequest *request)
{
	PoolReply reply = {.status = POOL_REPLY_REFUSED};

	answer(request, &reply, sizeof(reply), -1);
}

/* Answers yes. */
void
pool_listener_accept(PoolListenerRequest *request)
{
	PoolReply reply = {.status = POOL_REPLY_OK};

	answer(request, &reply, sizeof(reply), -1);
}

/* Answers with a descriptor of the connection and what is known about it. */
void
pool_listener_send(PoolListenerRequest *request, PGconn *conn, pgsocket sock)
{
	PoolReply reply = {.status = POOL_REPLY_OK,
					   .remote_pid = PQbackendPID(conn)};
	StringInfoData data;

	initStringInfo(&data);
	appendBinaryStringInfo(&data, (char *) &reply, sizeof(reply));
	for (int i = 0; i < (int) lengthof(reported_parameters); i++)
	{
		const char *value = PQparameterStatus(conn, reported_parameters[i]);

		if (value == NULL || data.len + strlen(value) + 64 > POOL_REPLY_MAX)
			continue;
		appendBinaryStringInfo(&data, reported_parameters[i],
							   strlen(reported_parameters[i]) + 1);
		appendBinaryStringInfo(&data, value, strlen(value) + 1);
		reply.nstrings += 2;
	}
	memcpy(data.data, &reply, sizeof(reply));
	answer(request, data.data, data.len, sock);
	pfree(data.data);
}
