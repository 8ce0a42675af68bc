/*
 * handover.h
 *		The descriptor of a connection, from the worker to a session.
 */
#ifndef POOL_HANDOVER_H
#define POOL_HANDOVER_H

#include "libpq-fe.h"
#include "shmem.h"

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

/* What a session gets. */
typedef struct PoolHandover
{
	int fd; /* the caller closes it */
	int remote_pid;
	int nstrings;
	const char **strings; /* parameter, value, ... */
} PoolHandover;

/* What the worker gets. */
typedef struct PoolRequestMessage
{
	PoolMessage head;
	const char **strings; /* head.nstrings of them */
	pid_t peer_pid;		  /* as the kernel tells */
	int reply_fd;
} PoolRequestMessage;

/* The session's end. */
extern bool pool_handover_fetch(int slot, uint64 generation, int64 deadline,
								PoolHandover *handover);
extern bool pool_handover_configure(const Pool *pool, uint64 pool_id,
									const PoolTarget *target,
									const PoolConninfo *conninfo,
									int64 deadline);

/* The worker's end. */
extern int pool_handover_listen(void);
extern void pool_handover_unlisten(int sock);
extern bool pool_handover_receive(int sock, PoolRequestMessage *request);
extern void pool_handover_refuse(PoolRequestMessage *request);
extern void pool_handover_accept(PoolRequestMessage *request);
extern void pool_handover_send(PoolRequestMessage *request, PGconn *conn);

#endif /* POOL_HANDOVER_H */
