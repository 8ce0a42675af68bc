/*
 * tls.h
 *		The TLS session of a connection, once libpq has made it.
 *
 * Nothing here waits.  Reading and writing begin with an empty queue of OpenSSL's
 * errors, which is the whole process's, so what they tell of a failure is this
 * connection's.
 */
#ifndef POOL_TLS_H
#define POOL_TLS_H

#include "libpq-fe.h"

/* Why nothing was read or written. */
typedef struct PoolTlsStop
{
	uint32 events; /* what it waits for on the socket; 0: nothing more comes */
	const char *failure; /* then the reason; NULL: the remote has closed */
} PoolTlsStop;

extern struct ssl_st *pool_tls_of(PGconn *conn);
extern int pool_tls_read(struct ssl_st *ssl, char *data, int size,
						 PoolTlsStop *stop);
extern int pool_tls_write(struct ssl_st *ssl, const char *data, int len,
						  PoolTlsStop *stop);
extern bool pool_tls_has_unread(const struct ssl_st *ssl);
extern void pool_tls_read_ahead(struct ssl_st *ssl, bool on);
extern void pool_tls_shutdown(struct ssl_st *ssl, const char *message, int len);

#endif /* POOL_TLS_H */
