/*
 * cancel_key.c
 *		The cancel key of a connection that libpq has made.
 *
 * libpq has no call for it.  It writes the key into the trace of messages
 * (PQtrace), but a trace must not be on while a remote can send what it likes: a
 * message that libpq itself has skipped as unexpected is traced as if it were well
 * formed, and read far beyond its end.  PQcancelPoll() of version 17 does without
 * the key, but where sslmode is "prefer" it falls back to a request in the clear,
 * of a connection that is encrypted.
 *
 * So the key is read out of PGcancel, which libpq hands out for PQcancel().  What
 * that begins with is the same up to version 17: the address, the process, the key.
 * Version 18 has the request as it is sent instead.  No more is read than
 * was allocated, and if process, code or length are not where they are looked for,
 * the key is not known, and nothing is cancelled.
 */
#include "postgres.h"

#include <malloc.h>
#include <sys/socket.h>

#include "port/pg_bswap.h"

#include "worker/cancel_key.h"

/* The code of a cancel request. */
#define CANCEL_CODE ((1234 << 16) | 5678)

/* Where a connection goes to, as libpq has it. */
typedef struct CancelAddress
{
	struct sockaddr_storage addr;
	socklen_t salen;
} CancelAddress;

/* How struct pg_cancel begins up to version 17; in this machine's byte order. */
typedef struct CancelBefore18
{
	CancelAddress raddr;
	int32 be_pid;
	int32 be_key;
} CancelBefore18;

/* The whole of it in version 18; in network byte order from "len" on. */
typedef struct Cancel18
{
	CancelAddress raddr;
	int32 unused;	   /* the process, which is not filled in */
	int32 settings[5]; /* of the socket */
	uint32 len;		   /* of the request, itself included */
	uint32 code;
	uint32 pid;
	uint8 be_key[POOL_CANCEL_REQUEST_MAX - 3 * sizeof(uint32)];
} Cancel18;

typedef union CancelCopy
{
	CancelBefore18 before18;
	Cancel18 v18;
} CancelCopy;

/* Puts the request together for a key of that length, in network byte order. */
static void
make_request(PoolCancelKey *key, int32 pid, const void *secret, size_t len)
{
	uint32 begin[3] = {0, pg_hton32(CANCEL_CODE), pg_hton32((uint32) pid)};

	key->len = sizeof(begin) + len;
	begin[0] = pg_hton32(key->len);
	memcpy(key->request, begin, sizeof(begin));
	memcpy(key->request + sizeof(begin), secret, len);
}

/* Makes the request from what PGcancel has in these bytes, if it is there. */
static void
read_key(PoolCancelKey *key, const CancelCopy *copy, size_t size, int32 pid)
{
	size_t begin = offsetof(Cancel18, be_key) - offsetof(Cancel18, len);
	size_t len = pg_ntoh32(copy->v18.len);

	/* A remote without a key, as some poolers are, has no process either. */
	if (pid == 0)
		return;
	if (PQlibVersion() < 180000)
	{
		uint32 secret = pg_hton32((uint32) copy->before18.be_key);

		if (size >= sizeof(copy->before18) && copy->before18.be_pid == pid)
			make_request(key, pid, &secret, sizeof(secret));
	}
	else if (size > offsetof(Cancel18, be_key) &&
			 pg_ntoh32(copy->v18.code) == CANCEL_CODE &&
			 pg_ntoh32(copy->v18.pid) == (uint32) pid && len > begin &&
			 len <= size - offsetof(Cancel18, len))
		make_request(key, pid, copy->v18.be_key, len - begin);
}

/* Takes the key of a connection that has been made. */
void
pool_cancel_key_take(PoolCancelKey *key, PGconn *conn)
{
	PGcancel *cancel = PQgetCancel(conn);
	CancelCopy copy;
	size_t size;

	memset(key, 0, sizeof(*key));
	memset(&copy, 0, sizeof(copy));
	if (cancel == NULL)
		return;
	size = Min(malloc_usable_size(cancel), sizeof(copy));
	memcpy(&copy, cancel, size);
	PQfreeCancel(cancel);

	key->encrypted = PQsslInUse(conn);
	read_key(key, &copy, size, PQbackendPID(conn));
	explicit_bzero(&copy, sizeof(copy));
}
