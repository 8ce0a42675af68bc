/*
 * listener.c
 *		Messages from sessions to the worker, and its replies.
 *
 * A session sends a datagram (PoolMessage and its strings) to the worker's
 * socket, and with it one end of a socket pair, over which the reply goes
 * (session/handover.c is the other side).  The kernel tells who has sent it.
 */
#include "postgres.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "worker/listener.h"

StaticAssertDecl(sizeof(PoolReply) + POOL_PARAMETERS_MAX <= POOL_REPLY_MAX,
				 "what remotes report must fit into an answer");

/*
 * Makes the socket of that worker and returns it.  Whatever stood at its path
 * before, a stale socket or a planted link, is removed and not followed.  Raises
 * an error if that fails.
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

/* Closes the socket; sessions whose messages are in it see that at once. */
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

/* Wipes the message that was received last. */
void
pool_listener_wipe(void)
{
	if (buffer != NULL)
		explicit_bzero(buffer, POOL_MESSAGE_MAX);
}

/*
 * Receives the next message; its strings stay until the next call, in memory of
 * the current context.  What is malformed, or comes from another operating system
 * user or without a way to reply, is dropped with a line in the log.
 */
PoolListenerResult
pool_listener_receive(int sock, PoolListenerMessage *message)
{
	struct ucred peer;
	ssize_t len;

	if (buffer == NULL)
		buffer = MemoryContextAlloc(TopMemoryContext, POOL_MESSAGE_MAX);

	len = pool_wire_receive(sock, buffer, POOL_MESSAGE_MAX, &message->reply_fd,
							&peer);
	if (len < 0 && errno != EPROTO && errno != EMFILE)
		return POOL_LISTENER_EMPTY;
	if (len >= (ssize_t) sizeof(PoolMessage) && message->reply_fd >= 0 &&
		peer.pid > 0 && peer.uid == geteuid())
	{
		memcpy(&message->head, buffer, sizeof(PoolMessage));
		message->peer_pid = peer.pid;
		message->strings = pool_wire_strings(buffer + sizeof(PoolMessage),
											 len - sizeof(PoolMessage),
											 message->head.nstrings);
		if (message->strings != NULL)
			return POOL_LISTENER_MESSAGE;
	}
	if (message->reply_fd >= 0)
		close(message->reply_fd);
	ereport(LOG,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("pool worker ignored a malformed message from process %d",
					(int) peer.pid)));
	return POOL_LISTENER_DROPPED;
}

/* Sends the reply, with that descriptor if it is not -1. */
static void
reply_with(PoolListenerMessage *message, const void *data, size_t len, int fd)
{
	/* If the session is gone there is nobody to tell. */
	(void) pool_wire_send(message->reply_fd, data, len, fd);
	close(message->reply_fd);
	message->reply_fd = -1;
}

/* Replies that the message is refused. */
void
pool_listener_refuse(PoolListenerMessage *message)
{
	PoolReply reply = {.status = POOL_REPLY_REFUSED};

	reply_with(message, &reply, sizeof(reply), -1);
}

/* Replies that the message is accepted. */
void
pool_listener_accept(PoolListenerMessage *message)
{
	PoolReply reply = {.status = POOL_REPLY_OK};

	reply_with(message, &reply, sizeof(reply), -1);
}

/*
 * Replies with "sock", which stands for the connection, and what the remote has
 * reported about itself.
 */
void
pool_listener_send(PoolListenerMessage *message, pgsocket sock, int remote_pid,
				   const PoolParameters *parameters)
{
	PoolReply reply = {.status = POOL_REPLY_OK, .remote_pid = remote_pid};
	StringInfoData data;

	initStringInfo(&data);
	appendBinaryStringInfo(&data, (char *) &reply, sizeof(reply));
	reply.nstrings = pool_parameters_append(parameters, &data);
	memcpy(data.data, &reply, sizeof(reply));
	reply_with(message, data.data, data.len, sock);
	pfree(data.data);
}
