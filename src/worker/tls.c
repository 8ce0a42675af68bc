/*
 * tls.c
 *		The TLS session of a connection, once libpq has made it.
 *
 * It stays libpq's, which frees it; whoever uses it does not have libpq read or write
 * the connection meanwhile.
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "storage/latch.h"

#include "worker/tls.h"

/* The connection's TLS session; NULL if it has none, or none of OpenSSL. */
struct ssl_st *
pool_tls_of(PGconn *conn)
{
	return PQsslStruct(conn, "OpenSSL");
}

/* To be called before SSL_read() or SSL_write(), for explain_stop(). */
static void
forget_errors(void)
{
	errno = 0;
	ERR_clear_error();
}

/* Why SSL_read() or SSL_write(), which has returned "result", has moved nothing. */
static void
explain_stop(const SSL *ssl, int result, PoolTlsStop *stop)
{
	int save_errno = errno;
	int error = SSL_get_error(ssl, result);
	unsigned long detail = ERR_peek_error();

	stop->events = 0;
	stop->failure = NULL;
	switch (error)
	{
		case SSL_ERROR_WANT_READ:
			stop->events = WL_SOCKET_READABLE;
			break;
		case SSL_ERROR_WANT_WRITE:
			stop->events = WL_SOCKET_WRITEABLE;
			break;
		case SSL_ERROR_ZERO_RETURN:
			break;
		case SSL_ERROR_SYSCALL:
			if (result < 0 && save_errno != 0)
				stop->failure = strerror(save_errno);
			break;
		default:
#ifdef SSL_R_UNEXPECTED_EOF_WHILE_READING
			/* Closed without close_notify, as without TLS. */
			if (ERR_GET_REASON(detail) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
				break;
#endif
			stop->failure = ERR_reason_error_string(detail);
			if (stop->failure == NULL)
				stop->failure = "TLS error";
			break;
	}
}

/* Reads what there is.  Returns how many bytes; 0: *stop says why there are none. */
int
pool_tls_read(SSL *ssl, char *data, int size, PoolTlsStop *stop)
{
	int got;

	forget_errors();
	got = SSL_read(ssl, data, size);
	if (got > 0)
		return got;
	explain_stop(ssl, got, stop);
	return 0;
}

/*
 * Writes.  Returns how many bytes; 0: *stop says why there are none.  If it only waits
 * it must be called again with the same bytes.  It does not tell that the socket is
 * broken, since libpq keeps that to itself until all that the remote sent has been
 * read.
 */
int
pool_tls_write(SSL *ssl, const char *data, int len, PoolTlsStop *stop)
{
	int sent;

	forget_errors();
	sent = SSL_write(ssl, data, len);
	if (sent > 0)
		return sent;
	explain_stop(ssl, sent, stop);
	return 0;
}

/* Has it bytes that were not read, and that may show on no socket? */
bool
pool_tls_has_unread(const SSL *ssl)
{
	return SSL_has_pending(ssl);
}

/* May it read more from the socket than what it is asked for? */
void
pool_tls_read_ahead(SSL *ssl, bool on)
{
	SSL_set_read_ahead(ssl, on ? 1 : 0);
}

/* Sends a message (len 0: none) and then close_notify, if that can be done at once. */
void
pool_tls_shutdown(SSL *ssl, const char *message, int len)
{
	ERR_clear_error();
	if (len > 0)
		(void) SSL_write(ssl, message, len);
	(void) SSL_shutdown(ssl);
}
