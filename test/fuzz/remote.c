/*
 * remote.c
 *	  What a remote sends: to the worker, and to a session.
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "session/adopt.h"
#include "statement/columns.h"
#include "statement/remote_report.h"
#include "statement/types.h"
#include "worker/answer.h"
#include "worker/feed.h"
#include "worker/cancel_key.h"

#include "targets.h"

/* So many of those bytes are read as one portion. */
static size_t
portion(uint8 step, size_t size)
{
	return step == 0 ? size : Min(size, (size_t) step);
}

/*
 * Is there a message that claims to be longer than 64 kB?  libpq makes room for
 * it, up to a gigabyte, which takes all the time.
 */
static bool
claims_much(const uint8 *data, size_t size)
{
	size_t length;

	for (; size >= 5; data += length, size -= length)
	{
		length = 1 + ((size_t) data[1] << 24 | data[2] << 16 | data[3] << 8 | data[4]);
		if (length > 64 * 1024)
			return true;
		if (length < 5 || length > size)
			break;
	}
	return false;
}

/* The number of statements, the size of portions, then the bytes. */
void
fuzz_answer(const uint8 *data, size_t size)
{
	PoolAnswerResult results[2];
	PoolParameters parameters[2] = {{{NULL}}};

	if (size < 2)
		return;
	for (int run = 0; run < 2; run++)
	{
		PoolAnswer answer;
		StringInfoData request;
		size_t left = size - 2;

		initStringInfo(&request);
		pool_answer_begin(&answer);
		for (int i = 0; i <= data[0] % 4; i++)
			pool_answer_expect(&answer, "select 1", &request);
		results[run] = POOL_ANSWER_MORE;

		/* A caller that is told that it goes on reads on. */
		while (left > 0 && results[run] == POOL_ANSWER_MORE)
		{
			size_t n = portion(run == 0 ? data[1] : 0, left);
			uint8 *copy = palloc(n);

			memcpy(copy, data + size - left, n);
			results[run] = pool_answer_read(&answer, (char *) copy, n, &parameters[run]);
			pfree(copy);
			left -= n;
		}

		/* In portions it may have ended well before what should not have come. */
		if (run == 0 && left > 0)
			size -= left;
	}
	FUZZ_EXPECT(results[0] == results[1]);
	for (int i = 0; i < POOL_PARAMETERS_COUNT; i++)
	{
		FUZZ_EXPECT(!parameters[0].values[i] == !parameters[1].values[i]);
		FUZZ_EXPECT(!parameters[0].values[i] ||
					strlen(parameters[0].values[i]) < POOL_PARAMETERS_LEN);
	}
	pool_parameters_free(&parameters[0]);
	pool_parameters_free(&parameters[1]);
}

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static int listener;
static char host[64];

void
fuzz_prepare_connect(void)
{
	socklen_t len;

	snprintf(host, sizeof(host), "@pool-fuzz.%d", MyProcPid);
	len = offsetof(struct sockaddr_un, sun_path) +
		snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.1", host);
	address.sun_path[0] = '\0';
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
	FUZZ_EXPECT(bind(listener, (struct sockaddr *) &address, len) == 0 && listen(listener, 4) == 0);
}

static void
ignore_notice(void *arg, const PGresult *res)
{
}

/* As attempt.c has libpq connect; the first byte is the size of portions. */
void
fuzz_connect(const uint8 *data, size_t size)
{
	const char *keywords[] = {"host", "port", "user", "password", "sslmode", "gssencmode", NULL};
	const char *values[] = {host, "1", "app", "secret", "disable", "disable", NULL};
	PGconn *conn;
	int remote;
	PoolCancelKey key = {0};
	PoolParameters parameters = {{NULL}};
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;
	PoolFeed feed;
	uint8 step = size > 0 ? data[0] : 0;
	size_t at = Min(size, 1);
	int idle = 0;

	if (size > 0 && claims_much(data + 1, size - 1))
		return;
	conn = PQconnectStartParams(keywords, values, 0);
	remote = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	FUZZ_EXPECT(remote >= 0 && PQstatus(conn) != CONNECTION_BAD);
	PQsetNoticeReceiver(conn, ignore_notice, NULL);
	pool_feed_init(&feed);
	while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED && idle < 4)
	{
		char read[4096];
		size_t n = portion(step, size - at);

		while (recv(remote, read, sizeof(read), MSG_DONTWAIT) > 0)
			;
		if (n > 0)
			(void) send(remote, data + at, n, MSG_NOSIGNAL);
		else
			idle++;
		at += n;
		if (idle == 2)
			(void) shutdown(remote, SHUT_WR);
		if (!pool_feed_refill(&feed))
			break;
		status = PQconnectPoll(conn);
		if (!pool_feed_keep_up(&feed, conn))
			break;
		(void) pool_feed_send(&feed);
	}
	if (status == PGRES_POLLING_OK)
	{
		StringInfoData strings;
		int n;

		pool_cancel_key_take(&key, conn);
		FUZZ_EXPECT(key.known == (PQbackendPID(conn) != 0));
		FUZZ_EXPECT(feed.remote == PGINVALID_SOCKET);
		initStringInfo(&strings);
		pool_parameters_take(&parameters, conn);
		n = pool_parameters_append(&parameters, &strings);
		FUZZ_EXPECT(strings.len <= POOL_PARAMETERS_MAX && n <= 2 * POOL_PARAMETERS_COUNT);
		for (int i = 0; i < POOL_PARAMETERS_COUNT; i++)
			FUZZ_EXPECT(!parameters.values[i] ||
						strlen(parameters.values[i]) < POOL_PARAMETERS_LEN);
		pool_parameters_free(&parameters);
	}
	pool_feed_end(&feed, PGINVALID_SOCKET);
	PQfinish(conn);
	close(remote);
}

void
fuzz_prepare_result(void)
{
	pool_adopt_prepare();
}

/* Reads the rows as columns of these types. */
static void
read_rows(const PGresult *res, PoolColumns *columns, TupleDesc desc)
{
	PoolField *fields = palloc0(sizeof(PoolField) * (columns->count + 1));
	Datum *values = palloc0(sizeof(Datum) * (columns->count + 1));
	bool *nulls = palloc0(sizeof(bool) * (columns->count + 1));

	pool_columns_check(columns, desc);
	pool_columns_prepare(columns, desc);
	for (int row = 0; row < PQntuples(res); row++)
	{
		for (int i = 0; i < columns->count; i++)
		{
			if (PQgetisnull(res, row, i))
				fields[i].bytes = NULL;
			else
				fields[i].bytes = PQgetvalue(res, row, i);
			fields[i].length = PQgetlength(res, row, i);
		}
		pool_columns_read(columns, fields, values, nulls);
		(void) heap_form_tuple(desc, values, nulls);
	}
}

/* A caller's list of columns: as the remote has them where that is known, or all text. */
static TupleDesc
column_list(const PoolColumns *columns, bool as_they_are)
{
	TupleDesc desc = CreateTemplateTupleDesc(columns->count);

	for (int i = 0; i < columns->count; i++)
	{
		Oid type = columns->items[i].type;

		TupleDescInitEntry(desc, i + 1, NULL,
						   as_they_are && pool_types_is_portable(type) ? type : TEXTOID, -1, 0);
	}
	return desc;
}

/*
 * A remote's bytes after a statement was sent, by the extended protocol or, with
 * the first bit of the first byte, by the simple one.  With the third, the
 * caller wants the columns as they are.
 */
void
fuzz_result(const uint8 *data, size_t size)
{
	const char *strings[] = {"client_encoding", "UTF8", "server_version", "15.0", NULL};
	PoolHandover handover = {.remote_pid = 1, .nstrings = 4, .strings = strings};
	PoolNotices notices = {0};
	PGconn *volatile conn = NULL;
	volatile int remote;
	int pair[2];

	if (size == 0 || claims_much(data + 1, size - 1) ||
		socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return;
	handover.fd = pair[0];
	remote = pair[1];
	PG_TRY();
	{
		PGresult *res;

		conn = pool_adopt(&handover);
		pool_remote_report_listen(conn, &notices);
		(void) ((data[0] & 1) ? PQsendQuery(conn, "select 1") :
				PQsendQueryParams(conn, "select 1", 0, NULL, NULL, NULL, NULL, 0));
		if (data[0] & 2)
			(void) PQsetSingleRowMode(conn);
		(void) PQflush(conn);
		(void) send(remote, data + 1, size - 1, MSG_NOSIGNAL);
		(void) shutdown(remote, SHUT_WR);
		for (int i = 0; i < 20 && (res = PQgetResult(conn)) != NULL; i++)
		{
			ExecStatusType status = PQresultStatus(res);
			bool ended;

			if (status == PGRES_TUPLES_OK || status == PGRES_SINGLE_TUPLE)
			{
				PoolColumns *columns = pool_columns_note(res);

				FUZZ_EXPECT(strlen(pool_columns_list(columns)) > 0 || columns->count == 0);
				if (columns->count > 0)
				{
					(void) pool_columns_row_type(columns);
					read_rows(res, columns, column_list(columns, (data[0] & 4) != 0));
				}
			}
			else if (status == PGRES_FATAL_ERROR)
			{
				FUZZ_EXPECT(pool_remote_report_error(res)->message != NULL);
				(void) pool_remote_report_is_backends(res, &ended);
			}
			else if (status >= PGRES_COPY_OUT && status != PGRES_NONFATAL_ERROR)
				break;
			PQclear(res);
		}
		(void) pool_remote_report_farewell(&notices);
		pool_remote_report_show_notices(&notices, "srv");
	}
	PG_FINALLY();
	{
		pool_remote_report_drop_notices(&notices);
		if (conn != NULL)
			pool_adopt_discard(conn);
		close(remote);
	}
	PG_END_TRY();
}
