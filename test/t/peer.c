/*
 * peer.c
 *		Who has sent a message, for 092_forged_messages.pl, which preloads this into
 *		the server: while there is a file $POOL_TEST_PEER, the pid and the operating
 *		system's user that stand in it, and not what the kernel says.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

typedef ssize_t (*RecvMsg)(int, struct msghdr *, int);

ssize_t
recvmsg(int sock, struct msghdr *msg, int flags)
{
	RecvMsg real = (RecvMsg) dlsym(RTLD_NEXT, "recvmsg");
	ssize_t got = real(sock, msg, flags);
	const char *path = getenv("POOL_TEST_PEER");
	FILE *file = got >= 0 && path != NULL ? fopen(path, "r") : NULL;
	int pid;
	int uid;

	if (file == NULL)
		return got;
	if (fscanf(file, "%d %d", &pid, &uid) == 2)
	{
		for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c))
		{
			struct ucred *peer = (struct ucred *) CMSG_DATA(c);

			if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_CREDENTIALS)
				continue;
			peer->pid = pid >= 0 ? pid : peer->pid;
			peer->uid = uid >= 0 ? (uid_t) uid : peer->uid;
		}
	}
	fclose(file);
	return got;
}
