/*
 * cancel_key.c
 *		The cancel key of a connection that libpq has made.
 *
 * Before version 17 libpq has no call for it.  It writes the key into the trace
 * of messages (PQtrace), but a trace must not be on while a remote can send what
 * it likes: a message that libpq itself has skipped as unexpected is traced as if
 * it were well formed, and read far beyond its end.
 *
 * So the key is read out of PGcancel, which libpq hands out for PQcancel().  Its
 * begin is the same up to version 17: the address, the process, the key.  If the
 * process is not where it is looked for, the key is not known.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "worker/cancel_key.h"

/* How struct pg_cancel of libpq-int.h begins. */
typedef struct CancelBegin
{
	struct
	{
		struct sockaddr_storage addr;
		socklen_t salen;
	} raddr;
	int be_pid;
	int be_key;
} CancelBegin;

/* Takes the key of a connection that has been made. */
void
pool_cancel_key_take(PoolCancelKey *key, PGconn *conn)
{
	PGcancel *cancel = PQgetCancel(conn);
	CancelBegin begin;

	memset(key, 0, sizeof(*key));
	if (cancel == NULL)
		return;
	memcpy(&begin, cancel, sizeof(begin));
	PQfreeCancel(cancel);

	/* A remote without a key, as some poolers are, has no process either. */
	key->known = PQlibVersion() < 180000 && begin.be_pid != 0 &&
				 begin.be_pid == PQbackendPID(conn);
	key->pid = begin.be_pid;
	key->secret = begin.be_key;
	key->encrypted = PQsslInUse(conn);
}
