/*
 * handover.c
 *		The descriptor of a connection, from the worker to a session.
 *
 * The worker receives on a datagram socket inside the data directory.  A
 * session makes a socket pair and sends one end of it along with its request;
 * the worker answers over that end and closes it.  So the answer can reach
 * nobody but the process that asked, the worker keeps no state for those who
 * ask and cannot be held up by one, and the end of the worker shows at once
 * as the end of the pair, even for a request that it had not yet read.
 *
 * The kernel tells the worker the sender's pid (SCM_CREDENTIALS); it must be
 * that of the slot's owner.  Requests to connect travel here as well, because
 * they carry passwords, which must not be seen in shared memory.
 *
 * No locks are held here.
 */
#include "postgres.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#include "compat.h"
#include "handover.h"
#include "waiters.h"

/*
 * Relative to the data directory, where every backend works.  In that folder
 * because base backups and pg_rewind leave out what is in it.
 */
#define SOCKET_PATH "pg_stat_tmp/pool.sock"

/* The longest answer: a handful of short parameters. */
#define REPLY_MAX 8192

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

/* Room for one descriptor and one set of credentials, suitably aligned. */
typedef union ControlBuffer
{
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
} ControlBuffer;

static void
socket_address(struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	strlcpy(address->sun_path, SOCKET_PATH, sizeof(address->sun_path));
}

/*
 * Sends one message, with a descriptor unless fd is -1.  Returns what
 * sendmsg() does, and sets errno.
 */
static ssize_t
send_with_fd(int sock, const void *data, size_t len, int fd)
{
	struct iovec iov = {.iov_base = unconstify(void *, data), .iov_len = len};
	ControlBuffer control;
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fd >= 0)
	{
		struct cmsghdr *cmsg;

		memset(&control, 0, sizeof(control));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &fd, sizeof(int));
	}
	return sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/*
 * Takes descriptor and credentials out of what came beside a message.
 * Returns false, with nothing left open, if it is not exactly what is due.
 */
static bool
read_control(struct msghdr *msg, int *fd, struct ucred *peer)
{
	struct cmsghdr *cmsg;
	bool good = (msg->msg_flags & (MSG_CTRUNC | MSG_TRUNC)) == 0;

	*fd = -1;
	memset(peer, 0, sizeof(*peer));
	for (cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg))
	{
		if (cmsg->cmsg_level != SOL_SOCKET)
			good = false;
		else if (cmsg->cmsg_type == SCM_CREDENTIALS &&
				 cmsg->cmsg_len == CMSG_LEN(sizeof(struct ucred)))
			memcpy(peer, CMSG_DATA(cmsg), sizeof(struct ucred));
		else if (cmsg->cmsg_type == SCM_RIGHTS)
		{
			size_t bytes = cmsg->cmsg_len - CMSG_LEN(0);

			/* What is not ours to keep must be closed all the same. */
			for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int))
			{
				int received;

				memcpy(&received, CMSG_DATA(cmsg) + at, sizeof(int));
				if (*fd >= 0)
				{
					close(received);
					good = false;
				}
				else
					*fd = received;
			}
		}
		else
			good = false;
	}
	if (!good && *fd >= 0)
	{
		close(*fd);
		*fd = -1;
	}
	return good;
}

/* Receives one message with what came beside it.  Returns its length or -1. */
static ssize_t
receive_with_fd(int sock, void *data, size_t size, int *fd, struct ucred *peer)
{
	struct iovec iov = {.iov_base = data, .iov_len = size};
	ControlBuffer control;
	struct msghdr msg = {.msg_iov = &iov,
						 .msg_iovlen = 1,
						 .msg_control = &control,
						 .msg_controllen = sizeof(control)};
	ssize_t len;

	*fd = -1;
	len = recvmsg(sock, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (len < 0)
		return -1;
	if (!read_control(&msg, fd, peer))
	{
		errno = (msg.msg_flags & MSG_CTRUNC) ? EMFILE : EPROTO;
		return -1;
	}
	return len;
}

/*
 * Finds "n" NUL-terminated strings in a message.  Returns NULL unless they
 * fill it exactly.
 */
static const char **
split_strings(const char *data, size_t len, int n)
{
	const char **strings;

	if (n < 0 || (size_t) n > len)
		return NULL;
	strings = palloc0(sizeof(char *) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		const char *end = memchr(data, '\0', len);

		if (end == NULL)
			return NULL;
		strings[i] = data;
		len -= end + 1 - data;
		data = end + 1;
	}
	return len == 0 ? strings : NULL;
}

/*
 * The session's end
 */

/* Waits for the socket or the latch; raises 08001 after the deadline. */
static void
wait_for_worker(int sock, uint32 event, int64 deadline)
{
	int64 left = (deadline - pool_clock_us()) / 1000;
	int rc;

	if (left <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("pool worker does not answer"),
				 errhint(
					 "See the server log, and pg_stat_activity for backend_type \"pool worker\".")));
	rc = WaitLatchOrSocket(MyLatch,
						   WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH |
							   event,
						   sock, Min(left, 60000), PG_WAIT_EXTENSION);
	if (rc & WL_LATCH_SET)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Sends the request; waits for a worker if none is running just now.  On
 * return the worker's end of the pair is in flight and closed here.
 */
static void
send_request(int sock, const void *data, size_t len, int pair_fd, int64 deadline)
{
	struct sockaddr_un address;

	socket_address(&address);
	ConditionVariablePrepareToSleep(&pool_shared->worker_started);
	for (;;)
	{
		if (connect(sock, (struct sockaddr *) &address, sizeof(address)) == 0 &&
			send_with_fd(sock, data, len, pair_fd) == (ssize_t) len)
			break;
		if (errno == EAGAIN || errno == ENOBUFS)
			wait_for_worker(sock, WL_SOCKET_WRITEABLE, deadline);
		else if (errno == ECONNREFUSED || errno == ENOENT)
		{
			long left = (long) ((deadline - pool_clock_us()) / 1000);

			if (left <= 0)
				ereport(ERROR,
						(errcode(
							 ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
						 errmsg("pool worker is not running"),
						 errhint(
							 "It is restarted within a second; see the server log if it is not.")));
			ConditionVariableTimedSleep(&pool_shared->worker_started, left,
										PG_WAIT_EXTENSION);
		}
		else if (errno != EINTR)
			ereport(ERROR, (errcode_for_socket_access(),
							errmsg("could not send to the pool worker: %m")));
	}
	ConditionVariableCancelSleep();
}

/*
 * Waits for the answer on this session's end of the pair.  Returns its length,
 * 0 if the worker ended without one.
 */
static size_t
await_answer(int sock, char *reply, int64 deadline, int *fd)
{
	struct ucred peer;
	ssize_t got;

	while ((got = receive_with_fd(sock, reply, REPLY_MAX, fd, &peer)) < 0)
	{
		if (errno == EMFILE || errno == EPROTO)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg(
						 "could not receive a descriptor from the pool worker: %m"),
					 errhint("The session may have too many files open.")));
		if (errno != EAGAIN && errno != EINTR)
			return 0; /* ECONNRESET: the request was never read */
		wait_for_worker(sock, WL_SOCKET_READABLE, deadline);
	}
	return (size_t) got;
}

/* The sockets of one exchange; -1 where there is none. */
typedef struct Exchange
{
	int sock;			 /* to the worker's address */
	int mine;			 /* ends of the pair */
	volatile int theirs; /* changes within PG_TRY */
} Exchange;

static void
begin_exchange(Exchange *exchange)
{
	int pair[2];

	exchange->sock =
		socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (exchange->sock < 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
				   pair) < 0)
	{
		int save_errno = errno;

		if (exchange->sock >= 0)
			close(exchange->sock);
		errno = save_errno;
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("could not create a socket for the pool worker: %m")));
	}
	exchange->mine = pair[0];
	exchange->theirs = pair[1];
}

/*
 * Sends a request and waits for the answer.  Returns its length, 0 if the
 * worker ended without one.  A descriptor that came with it is the caller's.
 */
static pg_noinline size_t
ask_worker(const void *request, size_t len, char *reply, int64 deadline, int *fd)
{
	Exchange exchange;
	volatile size_t got = 0;

	*fd = -1;
	begin_exchange(&exchange);
	PG_TRY();
	{
		send_request(exchange.sock, request, len, exchange.theirs, deadline);
		close(exchange.theirs);
		exchange.theirs = -1;
		got = await_answer(exchange.mine, reply, deadline, fd);
	}
	PG_FINALLY();
	{
		close(exchange.sock);
		close(exchange.mine);
		if (exchange.theirs >= 0)
			close(exchange.theirs);
	}
	PG_END_TRY();
	return got;
}

/*
 * Gets the descriptor of a slot that is leased to this session, and what
 * libpq learnt when the connection was made.  Returns false if the worker
 * does not have that connection (it ended, or was restarted).  The deadline
 * is in pool_clock_us(); raises 08001 after it, and 53000 when the session
 * cannot take one more descriptor.
 */
bool
pool_handover_fetch(int slot, uint64 generation, int64 deadline,
					PoolHandover *handover)
{
	PoolMessage *message = palloc0(sizeof(PoolMessage));
	char *answer = palloc(REPLY_MAX);
	PoolReply reply;
	size_t len;
	int fd;

	message->kind = POOL_MESSAGE_FETCH;
	message->sender = *pool_session_self();
	message->slot = slot;
	message->generation = generation;
	len = ask_worker(message, sizeof(PoolMessage), answer, deadline, &fd);
	if (len >= sizeof(reply))
	{
		memcpy(&reply, answer, sizeof(reply));
		handover->strings = split_strings(answer + sizeof(reply),
										  len - sizeof(reply), reply.nstrings);
		if (reply.status == POOL_REPLY_OK && fd >= 0 && handover->strings)
		{
			handover->fd = fd;
			handover->remote_pid = reply.remote_pid;
			handover->nstrings = reply.nstrings;
			return true;
		}
	}
	if (fd >= 0)
		close(fd);
	return false;
}

/*
 * Tells the worker how the pool's connections are to be made.  Returns false
 * if the pool is gone or the worker ended meanwhile.  Raises 54000 for options
 * that are too long for a message.
 */
bool
pool_handover_configure(const Pool *pool, uint64 pool_id,
						const PoolTarget *target, const PoolConninfo *conninfo,
						int64 deadline)
{
	PoolMessage *message = palloc0(sizeof(PoolMessage));
	char *answer = palloc(REPLY_MAX);
	StringInfoData data;
	PoolReply reply = {0};
	size_t len;
	int fd;

	message->kind = POOL_MESSAGE_CONFIGURE;
	message->sender = *pool_session_self();
	message->pool = pool_index(pool);
	message->pool_id = pool_id;
	message->target = *target;
	message->nstrings = conninfo->count * 2;

	initStringInfo(&data);
	appendBinaryStringInfo(&data, (char *) message, sizeof(PoolMessage));
	for (int i = 0; i < conninfo->count; i++)
	{
		appendBinaryStringInfo(&data, conninfo->keywords[i],
							   strlen(conninfo->keywords[i]) + 1);
		appendBinaryStringInfo(&data, conninfo->values[i],
							   strlen(conninfo->values[i]) + 1);
	}
	if (data.len > POOL_MESSAGE_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("connection options of server \"%s\" are too long",
						NameStr(target->server_name)),
				 errdetail("They have %d bytes, and at most %d can be used.",
						   data.len, POOL_MESSAGE_MAX)));

	PG_TRY();
	{
		len = ask_worker(data.data, data.len, answer, deadline, &fd);
	}
	PG_FINALLY();
	{
		explicit_bzero(data.data, data.maxlen); /* it holds the password */
	}
	PG_END_TRY();
	if (fd >= 0)
		close(fd);
	if (len >= sizeof(reply))
		memcpy(&reply, answer, sizeof(reply));
	return reply.status == POOL_REPLY_OK;
}

/*
 * The worker's end
 */

/*
 * Makes the socket.  Whatever stood at its path before, a stale socket or a
 * planted link, is removed and not followed.
 */
int
pool_handover_listen(void)
{
	struct sockaddr_un address;
	int sock;
	int on = 1;
	mode_t mask;
	bool bound;

	socket_address(&address);
	sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0)
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("could not create the pool worker's socket: %m")));
	if (unlink(SOCKET_PATH) < 0 && errno != ENOENT)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not remove file \"%s\": %m", SOCKET_PATH)));
	mask = umask(S_IRWXG | S_IRWXO | S_IXUSR);
	bound = setsockopt(sock, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0 &&
			bind(sock, (struct sockaddr *) &address, sizeof(address)) == 0;
	umask(mask);
	if (!bound)
		ereport(ERROR,
				(errcode_for_socket_access(),
				 errmsg("could not bind the pool worker's socket \"%s\": %m",
						SOCKET_PATH)));
	return sock;
}

/* Closes the socket; those whose requests are in it see that at once. */
void
pool_handover_unlisten(int sock)
{
	(void) unlink(SOCKET_PATH);
	close(sock);
}

/*
 * Receives the next request into memory of the current context.  Returns
 * false if there is none.  What is malformed, or comes from another user or
 * without a way to answer, is dropped with a line in the log.
 */
bool
pool_handover_receive(int sock, PoolRequestMessage *request)
{
	static char *buffer = NULL;
	struct ucred peer;
	ssize_t len;

	if (buffer == NULL)
		buffer = MemoryContextAlloc(TopMemoryContext, POOL_MESSAGE_MAX);

	for (;;)
	{
		len = receive_with_fd(sock, buffer, POOL_MESSAGE_MAX,
							  &request->reply_fd, &peer);
		if (len < 0 && errno != EPROTO && errno != EMFILE)
			return false;
		if (len >= (ssize_t) sizeof(PoolMessage) && request->reply_fd >= 0 &&
			peer.pid > 0 && peer.uid == geteuid())
		{
			memcpy(&request->head, buffer, sizeof(PoolMessage));
			request->peer_pid = peer.pid;
			request->strings = split_strings(buffer + sizeof(PoolMessage),
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
answer(PoolRequestMessage *request, const void *data, size_t len, int fd)
{
	/* If the session is gone there is nobody to tell. */
	(void) send_with_fd(request->reply_fd, data, len, fd);
	close(request->reply_fd);
	request->reply_fd = -1;
}

/* Answers no. */
void
pool_handover_refuse(PoolRequestMessage *request)
{
	PoolReply reply = {.status = POOL_REPLY_REFUSED};

	answer(request, &reply, sizeof(reply), -1);
}

/* Answers yes. */
void
pool_handover_accept(PoolRequestMessage *request)
{
	PoolReply reply = {.status = POOL_REPLY_OK};

	answer(request, &reply, sizeof(reply), -1);
}

/* Answers with the connection's descriptor and what is known about it. */
void
pool_handover_send(PoolRequestMessage *request, PGconn *conn)
{
	PoolReply reply = {.status = POOL_REPLY_OK,
					   .remote_pid = PQbackendPID(conn)};
	StringInfoData data;

	initStringInfo(&data);
	appendBinaryStringInfo(&data, (char *) &reply, sizeof(reply));
	for (int i = 0; i < (int) lengthof(reported_parameters); i++)
	{
		const char *value = PQparameterStatus(conn, reported_parameters[i]);

		if (value == NULL || data.len + strlen(value) + 64 > REPLY_MAX)
			continue;
		appendBinaryStringInfo(&data, reported_parameters[i],
							   strlen(reported_parameters[i]) + 1);
		appendBinaryStringInfo(&data, value, strlen(value) + 1);
		reply.nstrings += 2;
	}
	memcpy(data.data, &reply, sizeof(reply));
	answer(request, data.data, data.len, PQsocket(conn));
	pfree(data.data);
}
