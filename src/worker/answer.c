/*
 * answer.c
 *		A remote's answer to statements of the worker itself.
 *
 * The worker asks for little (ROLLBACK, reset_query, health_check_query), and
 * wants to know no more than whether that went well.  libpq would keep rows,
 * notifications and messages that are still to come in full, however large the
 * remote makes them, and the worker is one process for all pools.  So these
 * statements are sent and read without libpq: each with the extended protocol
 * and a Sync of its own (PostgreSQL documentation, "Message Formats").  Nothing
 * is kept of the answer but parameters that have changed.
 *
 * Messages are read to their ends, those too that come at any time: what is left
 * of one would be taken for the begin of another by whoever reads next.
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "worker/answer.h"

/* Begins with no statement. */
void
pool_answer_begin(PoolAnswer *answer)
{
	memset(answer, 0, sizeof(*answer));
	answer->phase = POOL_ANSWER_END;
}

/* Appends a message of the protocol. */
void
pool_answer_append(StringInfo to, char type, const char *body, int len)
{
	uint32 length = pg_hton32((uint32) len + 4);

	appendStringInfoChar(to, type);
	appendBinaryStringInfo(to, (char *) &length, 4);
	appendBinaryStringInfo(to, body, len);
}

/* Appends the request for one more statement, whose answer is to come. */
void
pool_answer_expect(PoolAnswer *answer, const char *sql, StringInfo request)
{
	StringInfoData parse;

	/* No name, the statement, no types of parameters. */
	initStringInfo(&parse);
	appendStringInfoChar(&parse, '\0');
	appendBinaryStringInfo(&parse, sql, strlen(sql) + 1);
	appendBinaryStringInfo(&parse, "\0", 2);
	pool_answer_append(request, 'P', parse.data, parse.len);
	pfree(parse.data);

	/* No names; no formats, no parameters, all results as text. */
	pool_answer_append(request, 'B', "\0\0\0\0\0\0\0", 8);
	pool_answer_append(request, 'E', "\0\0\0\0", 5); /* all rows */
	pool_answer_append(request, 'S', "", 0);

	answer->statements++;
	if (answer->phase == POOL_ANSWER_END)
		answer->phase = POOL_ANSWER_PARSED;
}

/* The remote has reported a parameter. */
static void
note_parameter(const PoolAnswer *answer, PoolParameters *parameters)
{
	const char *name = answer->body;
	const char *end = memchr(name, '\0', answer->nbody);

	/* A value that is cut here is too long to be kept anyway. */
	if (end != NULL)
		pool_parameters_set(parameters, name, end + 1);
}

/* A message has come in full; returns whether it is one that may come now. */
static bool
accept_message(PoolAnswer *answer, PoolParameters *parameters)
{
	char type = answer->head[0];

	answer->body[answer->nbody] = '\0';
	switch (type)
	{
		case 'S': /* ParameterStatus */
			note_parameter(answer, parameters);
			return true;
		case 'N': /* NoticeResponse */
		case 'A': /* NotificationResponse */
			return true;
		case '1': /* ParseComplete */
			return answer->phase++ == POOL_ANSWER_PARSED;
		case '2': /* BindComplete */
			return answer->phase++ == POOL_ANSWER_BOUND;
		case 'D': /* DataRow */
			return answer->phase == POOL_ANSWER_ROWS;
		case 'C': /* CommandComplete */
		case 'I': /* EmptyQueryResponse */
			return answer->phase++ == POOL_ANSWER_ROWS;
		case 'Z': /* ReadyForQuery */
			if (answer->phase != POOL_ANSWER_READY || answer->nbody != 1)
				return false;
			answer->transaction = answer->body[0];
			answer->phase =
				--answer->statements > 0 ? POOL_ANSWER_PARSED : POOL_ANSWER_END;
			return true;
		default: /* an error, COPY, or nothing that is known */
			return false;
	}
}

/* Takes the next bytes of the message that is being read; returns how many. */
static size_t
take_bytes(PoolAnswer *answer, const char *data, size_t len)
{
	size_t n;

	if (answer->nhead < (int) sizeof(answer->head))
	{
		n = Min(len, sizeof(answer->head) - answer->nhead);
		memcpy(answer->head + answer->nhead, data, n);
		answer->nhead += (int) n;
		if (answer->nhead == (int) sizeof(answer->head))
		{
			memcpy(&answer->left, answer->head + 1, 4);
			answer->left = pg_ntoh32(answer->left);
			answer->nbody = 0;
		}
	}
	else
	{
		size_t room = sizeof(answer->body) - 1 - answer->nbody;

		n = Min(len, answer->left);
		memcpy(answer->body + answer->nbody, data, Min(n, room));
		answer->nbody += (int) Min(n, room);
		answer->left -= (uint32) n;
	}
	return n;
}

/*
 * Reads more of the answer.  POOL_ANSWER_GOOD comes only when no message has
 * been begun.
 */
PoolAnswerResult
pool_answer_read(PoolAnswer *answer, const char *data, size_t len,
				 PoolParameters *parameters)
{
	answer->bytes += (int64) len;
	while (len > 0)
	{
		bool head_was_there = answer->nhead == (int) sizeof(answer->head);
		size_t n = take_bytes(answer, data, len);

		data += n;
		len -= n;
		if (answer->nhead < (int) sizeof(answer->head))
			break;
		if (!head_was_there)
		{
			/* The length counts itself. */
			if (answer->left < 4 || answer->left > PG_INT32_MAX)
				return POOL_ANSWER_BAD;
			answer->left -= 4;
		}
		if (answer->left == 0)
		{
			if (!accept_message(answer, parameters))
				return POOL_ANSWER_BAD;
			answer->nhead = 0;
		}
	}
	if (answer->phase != POOL_ANSWER_END || answer->nhead > 0)
		return POOL_ANSWER_MORE;
	return answer->transaction == 'I' ? POOL_ANSWER_GOOD : POOL_ANSWER_BAD;
}
