/*
 * relay.h
 *		An encrypted connection, as sessions can use it.
 */
#ifndef POOL_RELAY_H
#define POOL_RELAY_H

#include "libpq-fe.h"

/* Bytes that were read and are still to be written. */
typedef struct PoolRelayBuffer
{
	char *data;
	int start;
	int end;
} PoolRelayBuffer;

typedef struct PoolRelay
{
	struct ssl_st *ssl; /* libpq's; NULL: not encrypted, so no relay */
	pgsocket mine;		/* the worker's end of the pair */
	pgsocket theirs;	/* of this one sessions get copies */
	PoolRelayBuffer to_session;
	PoolRelayBuffer to_remote;
	bool unread;		   /* stopped reading for want of room */
	bool ended;			   /* nothing more comes from the remote */
	const char *failure;   /* why, unless it simply closed */
	bool remote_closed;	   /* its end shows on its socket */
	bool session_closed;   /* and that of the pair */
	uint32 read_wants;	   /* what SSL_read() and SSL_write() wait for */
	uint32 write_wants;	   /* on the remote's socket */
	uint32 remote_events;  /* what to wait for on the remote's socket */
	uint32 session_events; /* and on "mine" */
} PoolRelay;

extern const char *pool_relay_begin(PoolRelay *relay, PGconn *conn);
extern void pool_relay_step(PoolRelay *relay, uint32 remote_events,
							uint32 session_events);
extern bool pool_relay_has_more(const PoolRelay *relay);
extern bool pool_relay_suspend(PoolRelay *relay);
extern void pool_relay_resume(PoolRelay *relay);
extern void pool_relay_send_last(PoolRelay *relay, PGconn *conn,
								 const char *last, int len);
extern void pool_relay_hang_up(PoolRelay *relay);
extern void pool_relay_end(PoolRelay *relay);

#endif /* POOL_RELAY_H */
