/*
 * rogue.c
 *		Messages to the worker that no session of pool would send, for
 *		092_forged_messages.pl, which loads this into sessions.
 *
 * It reads what it needs to make them good from pool's shared memory, whose size
 * pg_shmem_allocations tells.
 */
#include "postgres.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fmgr.h"
#include "storage/shmem.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "shared/pool.h"
#include "shared/queue.h"
#include "shared/slot.h"
#include "shared/wire.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(rogue_slot);
PG_FUNCTION_INFO_V1(rogue_message);
PG_FUNCTION_INFO_V1(rogue_send);
PG_FUNCTION_INFO_V1(rogue_forget);

static Pool *pools;
static PoolSlot *slots;
static PoolWaiter *waiters;

/* Finds pool's shared memory, which has that size. */
static void
attach(int64 size)
{
	bool found;
	char *at = ShmemInitStruct("pool", (Size) size, &found);
	PoolShmem *shared = (PoolShmem *) at;

	at += MAXALIGN(sizeof(PoolShmem));
	pools = (Pool *) at;
	at += MAXALIGN(shared->npools * sizeof(Pool));
	slots = (PoolSlot *) at;
	at += MAXALIGN(shared->nslots * sizeof(PoolSlot));
	waiters = (PoolWaiter *) at;
}

/*
 * rogue_slot(size, slot): whose it is, and of which pool: generation, pid, procno,
 * serial, place, pool's id
 */
Datum
rogue_slot(PG_FUNCTION_ARGS)
{
	PoolSlot *slot;

	attach(PG_GETARG_INT64(0));
	slot = &slots[PG_GETARG_INT32(1)];
	PG_RETURN_TEXT_P(cstring_to_text(
		psprintf(UINT64_FORMAT " %d %d " UINT64_FORMAT " %d " UINT64_FORMAT,
				 pg_atomic_read_u64(&slot->generation), slot->owner.pid,
				 slot->owner.procno, slot->owner.serial, slot->pool,
				 slot->pool >= 0 ? pools[slot->pool].id : 0)));
}

/*
 * rogue_message(size, kind, pid, procno, serial, slot, generation, place, pool's
 * id, mapping, nstrings, strings): a message with the options of the pool in that
 * place; mapping 0: that of the pool
 */
Datum
rogue_message(PG_FUNCTION_ARGS)
{
	PoolMessage message;
	bytea *strings = PG_GETARG_BYTEA_PP(11);
	int len = VARSIZE_ANY_EXHDR(strings);
	int place = PG_GETARG_INT32(7);
	bytea *result = palloc(VARHDRSZ + sizeof(message) + len);

	attach(PG_GETARG_INT64(0));
	memset(&message, 0, sizeof(message));
	message.kind = PG_GETARG_INT32(1);
	message.sender.pid = PG_GETARG_INT32(2);
	message.sender.procno = PG_GETARG_INT32(3);
	message.sender.serial = PG_GETARG_INT64(4);
	message.slot = PG_GETARG_INT32(5);
	message.generation = PG_GETARG_INT64(6);
	message.pool = place;
	message.pool_id = PG_GETARG_INT64(8);
	if (place >= 0 && place < 2)
	{
		Pool *pool = &pools[place];

		message.target.key = pool->key;
		message.target.stamp = pool->stamp;
		message.target.mapping_user = pool->mapping_user;
		message.target.server_name = pool->server_name;
		message.target.user_name = pool->user_name;
		message.target.database_name = pool->database_name;
		message.target.options = pool->options;
	}
	if (PG_GETARG_OID(9) != 0)
		message.target.key.mapping = PG_GETARG_OID(9);
	message.nstrings = PG_GETARG_INT32(10);
	SET_VARSIZE(result, VARHDRSZ + sizeof(message) + len);
	memcpy(VARDATA(result), &message, sizeof(message));
	memcpy(VARDATA(result) + sizeof(message), VARDATA_ANY(strings), len);
	PG_RETURN_BYTEA_P(result);
}

/*
 * rogue_send(worker, message, descriptors): sends it as this session, with so many
 * descriptors; tells what comes back: ok, refused, closed (the worker has closed
 * its end and said nothing), and whether a descriptor comes with it
 */
Datum
rogue_send(PG_FUNCTION_ARGS)
{
	bytea *message = PG_GETARG_BYTEA_PP(1);
	int n = PG_GETARG_INT32(2);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval patience = {.tv_sec = 20};
	char control[CMSG_SPACE(8 * sizeof(int))] = {0};
	struct iovec iov = {VARDATA_ANY(message), VARSIZE_ANY_EXHDR(message)};
	struct msghdr msg = {.msg_name = &address,
						 .msg_namelen = sizeof(address),
						 .msg_iov = &iov,
						 .msg_iovlen = 1,
						 .msg_control = control,
						 .msg_controllen = CMSG_SPACE(n * sizeof(int))};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
	char answer[POOL_REPLY_MAX];
	PoolReply *reply = (PoolReply *) answer;
	const char *what;
	int sock = socket(AF_UNIX, SOCK_DGRAM, 0);
	int pair[2];
	ssize_t got;

	if (n > 8 || sock < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		elog(ERROR, "no sockets: %m");
	snprintf(address.sun_path, sizeof(address.sun_path), POOL_SOCKET_PATH,
			 PG_GETARG_INT32(0));
	if (n > 0)
	{
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
		for (int i = 0; i < n; i++)
			((int *) CMSG_DATA(cmsg))[i] = pair[1];
	}
	else
		msg.msg_controllen = 0;
	if (sendmsg(sock, &msg, 0) < 0)
		elog(ERROR, "cannot send: %m");
	close(sock);
	close(pair[1]);

	(void) setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &patience,
					  sizeof(patience));
	memset(control, 0, sizeof(control));
	msg = (struct msghdr){.msg_iov = &iov,
						  .msg_iovlen = 1,
						  .msg_control = control,
						  .msg_controllen = sizeof(control)};
	iov.iov_base = answer;
	iov.iov_len = sizeof(answer);
	got = recvmsg(pair[0], &msg, 0);
	close(pair[0]);
	if (got == 0 || (got < 0 && errno == ECONNRESET))
		what = "closed";
	else if (got < (ssize_t) sizeof(PoolReply))
		what = "silence";
	else
		what = reply->status == POOL_REPLY_OK ? "ok" : "refused";
	cmsg = CMSG_FIRSTHDR(&msg);
	if (cmsg != NULL && cmsg->cmsg_type == SCM_RIGHTS)
	{
		close(*(int *) CMSG_DATA(cmsg));
		what = psprintf("%s, a descriptor", what);
	}
	PG_RETURN_TEXT_P(cstring_to_text(what));
}

/* rogue_forget(size, procno): that session does not exist for the others any more */
Datum
rogue_forget(PG_FUNCTION_ARGS)
{
	attach(PG_GETARG_INT64(0));
	memset(&waiters[PG_GETARG_INT32(1)].session, 0, sizeof(PoolSessionRef));
	PG_RETURN_VOID();
}
