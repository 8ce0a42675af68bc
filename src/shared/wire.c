/*
 * wire.c
 *		Messages, with a descriptor beside them, between worker and sessions.
 */
#include "postgres.h"

#include <sys/un.h>
#include <unistd.h>

#include "shared/wire.h"

/* Room for one descriptor and one set of credentials, suitably aligned. */
typedef union ControlBuffer
{
	struct cmsghdr align;
	char space[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
} ControlBuffer;

/* The address of that worker's socket. */
void
pool_wire_address(int worker, struct sockaddr_un *address)
{
	memset(address, 0, sizeof(*address));
	address->sun_family = AF_UNIX;
	snprintf(address->sun_path, sizeof(address->sun_path), POOL_SOCKET_PATH,
			 worker + 1);
}

/*
 * Sends one message, with a descriptor unless fd is -1.  Returns what
 * sendmsg() does, and sets errno.
 */
ssize_t
pool_wire_send(int sock, const void *data, size_t len, int fd)
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
 * Returns false, with nothing left open, if it is not exactly what is due.  The
 * kernel adds nothing of another level or type unless a socket asks for it, which
 * ours do not.
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
ssize_t
pool_wire_receive(int sock, void *data, size_t size, int *fd, struct ucred *peer)
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
const char **
pool_wire_strings(const char *data, size_t len, int n)
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
