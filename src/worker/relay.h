/*
 * relay.h
 *		An encrypted connection, as sessions can use it.
 */
#ifndef POOL_RELAY_H
#define POOL_RELAY_H

#include "libpq-fe.h"

#define POOL_RELAY_RECORD (16 * 1024) /* the largest TLS record */

/* Bytes that were read and are still to be written. */
typedef struct PoolRelayBuffer
{
	char *data;
	int start;
	int end;
} PoolRelayBuffer;

typedef struct PoolRelay
{
	struct ssl_st *ssl;	  /* libpq's; NULL: not encrypted, so no relay */
	pgsocket worker_end;  /* of the pair, PGINVALID_SOCKET: closed */
	pgsocket session_end; /* of this one sessions get copies */
	PoolRelayBuffer to_session;
	PoolRelayBuffer to_remote;
	bool maybe_unread;		 /* more may be there than shows on the socket */
	bool remote_ended;		 /* nothing more comes from the remote */
	const char *failure;	 /* why, unless the remote simply closed */
	bool remote_close_seen;	 /* WL_SOCKET_CLOSED, on the remote's socket */
	bool session_close_seen; /* and on the worker's end of the pair */
	uint32 read_wants;		 /* what reading and writing wait for */
	uint32 write_wants;		 /* on the remote's socket */
	uint32 remote_events;	 /* what to wait for on the remote's socket */
	uint32 session_events;	 /* and on the worker's end of the pair */
} PoolRelay;

extern const char *pool_relay_begin(PoolRelay *relay, PGconn *conn);
extern void pool_relay_transfer(PoolRelay *relay, uint32 remote_events,
								uint32 session_events);
extern ssize_t pool_relay_recv(PoolRelay *relay, char *data, size_t size);
extern ssize_t pool_relay_send(PoolRelay *relay, const char *data, size_t len);
extern bool pool_relay_suspend(PoolRelay *relay);
extern bool pool_relay_take_over(PoolRelay *relay);
extern void pool_relay_resume(PoolRelay *relay);
extern void pool_relay_shutdown(PoolRelay *relay, PGconn *conn,
								const char *message, int len);
extern void pool_relay_disconnect_sessions(PoolRelay *relay);
extern void pool_relay_free(PoolRelay *relay);

#endif /* POOL_RELAY_H */
