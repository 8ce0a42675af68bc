/*
 * adopt.c
 *		A PGconn around a descriptor that another process connected.
 *
 * libpq has no call for that, so the session plays the server to itself: it
 * listens on a socket of its own, lets libpq connect to it, answers the start
 * of the protocol with what the worker learnt from the real server, and, when
 * libpq thinks it has connected, puts the real descriptor in place of the
 * socket (dup3).  Only libpq's public interface is used.
 *
 * The reverse matters as much: PQfinish() would send Terminate to a remote
 * session that belongs to the pool.  pool_adopt_discard() puts a dead
 * descriptor over the socket first.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "base/fault.h"
#include "session/adopt.h"

/*
 * A descriptor on which reads and writes fail.  Opened before it is needed,
 * since it is needed on error paths where nothing may fail.
 */
static int dead_fd = -1;

/*
 * In play_startup(), steps of libpq within which it has read all that was sent
 * to it.  If it takes more, it waits for something that will not come.
 */
#define MAX_STARTUP_STEPS 100

/* The environment variables that libpq looks at, collected once. */
static const char **libpq_variables = NULL;
static int nvariables = 0;

static void
collect_variables(void)
{
	PQconninfoOption *options = PQconndefaults();
	int n = 0;

	nvariables = 0;
	while (options != NULL && options[n].keyword != NULL)
		n++;
	libpq_variables =
		MemoryContextAllocZero(TopMemoryContext, sizeof(char *) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		/* The names are constants of libpq's, only the rest is freed. */
		if (options[i].envvar != NULL)
			libpq_variables[nvariables++] = options[i].envvar;
	}
	PQconninfoFree(options);
}

/* Opens what pool_adopt_discard() needs, once.  Raises 53000. */
void
pool_adopt_prepare(void)
{
	if (dead_fd >= 0)
		return;
	collect_variables();
	dead_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (dead_fd < 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_RESOURCES),
						errmsg("could not open \"/dev/null\": %m")));
	ReserveExternalFD();
}

/*
 * A listening socket in the abstract namespace, which needs no file.  "host"
 * gets the name for libpq, which adds "/.s.PGSQL.1" to it.
 */
static int
listen_to_self(char *host, size_t size)
{
	uint64 random = 0;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t len;
	int sock;

	/* A name that no other process can know, and use, before. */
	(void) pg_strong_random(&random, sizeof(random));
	snprintf(host, size, "@pool.%d.%016llx", MyProcPid,
			 (unsigned long long) random);
	len = offsetof(struct sockaddr_un, sun_path) +
		  snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.1",
				   host);
	address.sun_path[0] = '\0';

	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (sock < 0 || bind(sock, (struct sockaddr *) &address, len) < 0 ||
		listen(sock, 4) < 0)
	{
		int save_errno = errno;

		if (sock >= 0)
			close(sock);
		errno = save_errno;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg(
					 "could not listen on a socket of the session's own: %m")));
	}
	return sock;
}

/*
 * Starts libpq on that socket.  Environment variables must not have a say in
 * it, so those that are set are put away for the moment.
 */
static PGconn *
start_libpq(const char *host, const char *encoding)
{
	const char *keywords[] = {"host",	  "port",	 "dbname",			"user",
							  "password", "sslmode", "client_encoding", NULL};
	const char *values[] = {host,	  "1",		 "pool",   "pool",
							"unused", "disable", encoding, NULL};
	char **saved = palloc0(sizeof(char *) * nvariables);
	PGconn *conn;

	for (int i = 0; i < nvariables; i++)
	{
		char *value = getenv(libpq_variables[i]);

		if (value != NULL)
		{
			saved[i] = pstrdup(value);
			unsetenv(libpq_variables[i]);
		}
	}
	conn = PQconnectStartParams(keywords, values, 0);
	for (int i = 0; i < nvariables; i++)
	{
		if (saved[i] != NULL)
			setenv(libpq_variables[i], saved[i], 1);
	}
	return conn;
}

/* Accepts libpq's connection: the one that comes from this very process. */
static int
accept_self(int listener)
{
	int sock;

	while ((sock = accept4(listener, NULL, NULL,
						   SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
	{
		struct ucred peer;
		socklen_t len = sizeof(peer);

		if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
			peer.pid == MyProcPid)
			return sock;
		close(sock);
	}
	return -1;
}

/* Appends a message of the protocol. */
static void
append_message(StringInfo out, char type, const char *body, int len)
{
	appendStringInfoChar(out, type);
	pq_sendint32(out, len + 4);
	appendBinaryStringInfo(out, body, len);
}

/* The server's half of the start-up, as the worker saw it. */
static void
compose_startup(const PoolHandover *handover, StringInfo out)
{
	StringInfoData body;
	uint32 auth_ok = 0;
	uint32 key[2] = {pg_hton32((uint32) handover->remote_pid), 0};

	initStringInfo(out);
	append_message(out, 'R', (char *) &auth_ok, sizeof(auth_ok));
	initStringInfo(&body);
	for (int i = 0; i + 1 < handover->nstrings; i += 2)
	{
		resetStringInfo(&body);
		appendBinaryStringInfo(&body, handover->strings[i],
							   strlen(handover->strings[i]) + 1);
		appendBinaryStringInfo(&body, handover->strings[i + 1],
							   strlen(handover->strings[i + 1]) + 1);
		append_message(out, 'S', body.data, body.len);
	}
	append_message(out, 'K', (char *) key, sizeof(key));
	append_message(out, 'Z', "I", 1);
	pfree(body.data);
}

/* Lets libpq go through the start-up.  True when it thinks it has connected. */
static bool
play_startup(PGconn *conn, int server, const StringInfo startup)
{
	if (send(server, startup->data, startup->len, MSG_NOSIGNAL) != startup->len)
		return false;

	/* All that libpq will read is there already, so it never has to wait. */
	for (int i = 0; i < MAX_STARTUP_STEPS; i++)
	{
		PostgresPollingStatusType status = PQconnectPoll(conn);

		if (status == PGRES_POLLING_OK)
			return true;
		if (status == PGRES_POLLING_FAILED)
			return false;
	}
	return false;
}

/*
 * Builds a PGconn around the descriptor handover->fd, which is closed here
 * whatever happens: the PGconn has a duplicate.  pool_adopt_prepare() must have
 * been called.  Raises 08006 when libpq cannot be made to.
 */
PGconn *
pool_adopt(PoolHandover *handover)
{
	PGconn *volatile conn = NULL;
	volatile int listener = -1;
	volatile int server = -1;

	PG_TRY();
	{
		char host[64];
		StringInfoData startup;
		const char *encoding = "UTF8";

		POOL_FAULT_POINT(adopt_begin);
		for (int i = 0; i + 1 < handover->nstrings; i += 2)
		{
			if (strcmp(handover->strings[i], "client_encoding") == 0)
				encoding = handover->strings[i + 1];
		}
		compose_startup(handover, &startup);
		listener = listen_to_self(host, sizeof(host));
		conn = start_libpq(host, encoding);
		server = accept_self(listener);
		POOL_FAULT_POINT(adopt_started);
		if (conn == NULL || server < 0 || !play_startup(conn, server, &startup) ||
			dup3(handover->fd, PQsocket(conn), O_CLOEXEC) < 0)
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg(
						 "could not set up a pooled connection in this session"),
					 errdetail_internal("%s", conn ? PQerrorMessage(conn)
												   : "out of memory")));
		PQsetnonblocking(conn, 1);
	}
	PG_CATCH();
	{
		close(handover->fd);
		if (server >= 0)
			close(server);
		if (listener >= 0)
			close(listener);
		if (conn != NULL)
			PQfinish(conn); /* it speaks to this process alone */
		PG_RE_THROW();
	}
	PG_END_TRY();

	close(handover->fd);
	close(server);
	close(listener);
	return conn;
}

/*
 * Frees the PGconn and closes this session's descriptor, without a word to the
 * remote.  Raises nothing.
 */
void
pool_adopt_discard(PGconn *conn)
{
	int sock = PQsocket(conn);

	Assert(dead_fd >= 0);
	if (sock >= 0)
		(void) dup3(dead_fd, sock, O_CLOEXEC);
	PQfinish(conn);
}
