/*
 * local.c
 *	  Messages between sessions and the worker.
 */
#include "postgres.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "miscadmin.h"
#include "storage/fd.h"

#include "base/clock.h"
#include "session/handover.h"
#include "shared/self.h"
#include "shared/wire.h"
#include "worker/config.h"
#include "worker/conn.h"
#include "worker/requests.h"

#include "targets.h"

/* Sends bytes with one descriptor beside them or, after some bits, another number. */
static void
send_with(int sock, const void *data, size_t size, uint8 bits)
{
	static const int numbers[] = {1, 1, 1, 1, 0, 2, 3, 7};
	int nfds = numbers[bits & 7];
	struct iovec iov = {.iov_base = unconstify(void *, data), .iov_len = size};
	char control[CMSG_SPACE(8 * sizeof(int))] = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (nfds > 0)
	{
		struct cmsghdr *cmsg = (struct cmsghdr *) control;

		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		for (int i = 0; i < nfds; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &sock, sizeof(int));
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
	}
	(void) sendmsg(sock, &msg, MSG_NOSIGNAL);
}

/* How many descriptors this process has open, up to a hundred. */
static int
count_files(void)
{
	int n = 0;

	for (int fd = 0; fd < 100; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A pool in the first place, and the worker's own memory. */
void
fuzz_prepare_pool(void)
{
	pool_config_init();
	pool_conn_init();
	pool_shmem_pools[0].id = 1;
	pool_shmem_pools[0].key.database = MyDatabaseId;
	(void) pool_self();
}

/* The strings in a message that ends where its memory does. */
static void
check_strings(const uint8 *data, size_t size)
{
	char *message = palloc(size);
	const char **strings;
	int n = 0;

	memcpy(message, data, size);
	for (size_t i = 0; i < size; i++)
		n += message[i] == '\0';
	for (int more = -1; more <= 1; more++)
	{
		strings = pool_wire_strings(message, size, n + more);
		FUZZ_EXPECT(strings == NULL || more == 0);
		for (int i = 0; strings != NULL && i < n; i++)
			FUZZ_EXPECT(strings[i] + strlen(strings[i]) < message + size);
	}
	FUZZ_EXPECT(pool_wire_strings(message, size, PG_INT32_MAX) == NULL);
}

/*
 * A message as a session may send it: flags, which say how many descriptors come
 * with it and whether it begins as a true one does, and its bytes.
 */
void
fuzz_messages(const uint8 *data, size_t size)
{
	PoolMessage head = {0};
	uint8 flags = size > 0 ? data[0] : 0;
	size_t from = Min(size, 1);
	char *bytes;
	int pair[2];
	int on = 1;
	int files;

	if (flags & 8)
	{
		if (flags & 64)
		{
			memcpy(&head, data + from, Min(size - from, sizeof(head)));
			from += Min(size - from, sizeof(head));
		}
		head.kind = (flags & 16) ? POOL_MESSAGE_FETCH : POOL_MESSAGE_CONFIGURE;
		head.sender = *pool_self();
		head.pool = 0;
		head.pool_id = 1;
		head.target.key = pool_shmem_pools[0].key;
		if (flags & 32)
		{
			head.nstrings = 0;
			for (size_t i = from; i < size; i++)
				head.nstrings += data[i] == '\0';
		}
	}
	check_strings(data + from, size - from);
	bytes = palloc(sizeof(head) + size);
	memcpy(bytes, &head, sizeof(head));
	memcpy(bytes + sizeof(head), data + from, size - from);

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair) < 0)
		return;
	(void) setsockopt(pair[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on));
	files = count_files();
	send_with(pair[1], bytes + ((flags & 8) ? 0 : sizeof(head)),
			  size - from + ((flags & 8) ? sizeof(head) : 0), flags);
	pool_requests_serve(pair[0], 0);
	FUZZ_EXPECT(count_files() == files);
	close(pair[0]);
	close(pair[1]);
}

/* The worker's socket, and what it replies next. */
static int listener;
static const uint8 *reply;
static size_t reply_size;
static volatile bool replied;

/* In a thread: plays the worker, which replies to each message. */
static void *
play_worker(void *arg)
{
	for (;;)
	{
		static char message[POOL_MESSAGE_MAX];
		struct iovec iov = {.iov_base = message, .iov_len = sizeof(message)};
		union
		{
			struct cmsghdr align;
			char space[CMSG_SPACE(sizeof(int))];
		} control;
		struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
							 .msg_controllen = sizeof(control)};
		int fd;

		if (recvmsg(listener, &msg, 0) < 0 || CMSG_FIRSTHDR(&msg) == NULL)
			continue;
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(int));
		if (reply_size > 0)
			send_with(fd, reply + 1, reply_size - 1, reply[0]);
		close(fd);
		replied = true;
	}
	return NULL;
}

void
fuzz_prepare_reply(void)
{
	struct sockaddr_un address;
	pthread_t thread;

	pool_wire_address(0, &address);
	(void) unlink(address.sun_path);
	listener = socket(AF_UNIX, SOCK_DGRAM, 0);
	FUZZ_EXPECT(bind(listener, (struct sockaddr *) &address, sizeof(address)) == 0);
	FUZZ_EXPECT(pthread_create(&thread, NULL, play_worker, NULL) == 0);
	pool_shmem_slots[0].pool = 0;
	(void) pool_self();
}

/*
 * A reply as the worker may send it.  The head comes from the input, but for the
 * status, or it is all the input's.
 */
void
fuzz_reply(const uint8 *data, size_t size)
{
	PoolHandover handover;
	uint8 *copy = palloc(size + sizeof(PoolReply) + 1);
	int files = count_files();

	reply = data;
	reply_size = size;
	replied = false;
	if (size > 0 && (data[0] & 8))
	{
		PoolReply head = {.status = POOL_REPLY_OK, .remote_pid = 1};

		for (size_t i = 1; i < size; i++)
			head.nstrings += data[i] == '\0';
		copy[0] = data[0];
		memcpy(copy + 1, &head, sizeof(head));
		memcpy(copy + 1 + sizeof(head), data + 1, size - 1);
		reply = copy;
		reply_size = size + sizeof(head);
	}
	PG_TRY();
	{
		if (pool_handover_fetch(0, 1, pool_clock_after_ms(60000), &handover))
		{
			for (int i = 0; i < handover.nstrings; i++)
				FUZZ_EXPECT(strlen(handover.strings[i]) < POOL_REPLY_MAX);
			close(handover.fd);
		}
	}
	PG_FINALLY();
	{
		while (!replied)
			pg_usleep(10);
	}
	PG_END_TRY();
	FUZZ_EXPECT(count_files() == files);
}
