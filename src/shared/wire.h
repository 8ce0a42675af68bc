/*
 * wire.h
 *		Messages, with a descriptor beside them, between worker and sessions.
 */
#ifndef POOL_WIRE_H
#define POOL_WIRE_H

#include <sys/socket.h>

#include "options/target.h"
#include "shared/self.h"

/*
 * The worker's socket, with its number.  Relative to the data directory, where
 * every backend works; in that folder, because base backups and pg_rewind leave
 * out what is in it.
 */
#define POOL_SOCKET_PATH "pg_stat_tmp/pool.%d.sock"

/* The longest answer: a handful of short parameters. */
#define POOL_REPLY_MAX 8192

#define POOL_MESSAGE_MAX (128 * 1024) /* bytes of one message */

typedef enum PoolMessageKind
{
	POOL_MESSAGE_FETCH = 0x504f4f01, /* give me the descriptor of a slot */
	POOL_MESSAGE_CONFIGURE			 /* connect like this from now on */
} PoolMessageKind;

/* How each message begins. */
typedef struct PoolMessage
{
	PoolMessageKind kind;
	PoolSessionRef sender;
	int slot;		   /* FETCH */
	uint64 generation; /* FETCH */
	int pool;		   /* CONFIGURE, from here on */
	uint64 pool_id;
	PoolTarget target;
	int nstrings; /* keyword, value, ...: each ends with NUL */
} PoolMessage;

typedef enum PoolReplyStatus
{
	POOL_REPLY_OK = 0x504f4f81,
	POOL_REPLY_REFUSED /* no such slot, not yours, no such pool */
} PoolReplyStatus;

/* How each answer begins.  With FETCH, a descriptor travels beside it. */
typedef struct PoolReply
{
	PoolReplyStatus status;
	int remote_pid;
	int nstrings; /* parameter, value, ... of the remote */
} PoolReply;

struct sockaddr_un;

extern void pool_wire_address(int worker, struct sockaddr_un *address);
extern ssize_t pool_wire_send(int sock, const void *data, size_t len, int fd);
extern ssize_t pool_wire_receive(int sock, void *data, size_t size, int *fd,
								 struct ucred *peer);
extern const char **pool_wire_strings(const char *data, size_t len, int n);

#endif /* POOL_WIRE_H */
