/*
 * marker.c
 *		The end of an answer of which nobody knows where it began.
 *
 * A session that gives up in the middle of an answer may have read some of it, to
 * the middle of a message.  In what is left messages cannot be told from the data
 * in them, and how much is left cannot be told at all.  So the worker sends a
 * request of its own behind the statement, and looks for the answer to that:
 *
 *		Parse		an empty statement, whose parameters have four types
 *		Describe	ParameterDescription with these types, NoData
 *		Sync		ReadyForQuery
 *
 * The types are random numbers, made when the statement was out already.  So
 * nothing that it answers can have them, and a remote answers in order: when they
 * come, all that went before is answered.
 *
 * An empty statement is parsed in a transaction that has failed, too; its types
 * are not looked at, it begins nothing, and leaves nothing in the remote's log.
 * All this is memory of the worker alone.
 */
#include "postgres.h"

#include "worker/marker.h"

#define NTYPES 4
#define TYPES_LEN (NTYPES * 4)

/* Fills in the types: no byte of them is one that the marker begins with. */
static bool
make_types(char *types)
{
	if (!pg_strong_random(types, TYPES_LEN))
		return false;
	for (int i = 0; i < TYPES_LEN; i++)
		types[i] |= (char) 0x80;
	return true;
}

/*
 * Appends the request, and sets what will come.  Returns false where there are no
 * random numbers.
 */
bool
pool_marker_request(PoolMarker *marker, StringInfo request)
{
	char parse[2 + 2 + TYPES_LEN] = {0, 0, 0, NTYPES}; /* no name, no text */
	char *types = parse + 4;
	StringInfoData expected;

	memset(marker, 0, sizeof(*marker));
	if (!make_types(types))
		return false;
	pool_answer_append(request, 'P', parse, sizeof(parse));
	pool_answer_append(request, 'D', "S", 2); /* of no name */
	pool_answer_append(request, 'S', "", 0);

	/* The number of types, and these, come back as they were sent. */
	initStringInfo(&expected);
	pool_answer_append(&expected, 't', types - 2, 2 + TYPES_LEN);
	pool_answer_append(&expected, 'n', "", 0);
	pool_answer_append(&expected, 'Z', "?", 1);
	Assert(expected.len == POOL_MARKER_LEN + 1);
	memcpy(marker->bytes, expected.data, POOL_MARKER_LEN);
	pfree(expected.data);
	return true;
}

/*
 * Looks for the marker in what has come next.  POOL_ANSWER_GOOD: it was there, and
 * nothing behind it; marker->transaction is set.
 */
PoolAnswerResult
pool_marker_seek(PoolMarker *marker, const char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
	{
		if (marker->seen == POOL_MARKER_LEN)
		{
			marker->transaction = data[i];
			return i + 1 == len ? POOL_ANSWER_GOOD : POOL_ANSWER_BAD;
		}

		/* Its first byte is nowhere else in it. */
		if (data[i] != marker->bytes[marker->seen])
			marker->seen = 0;
		if (data[i] == marker->bytes[marker->seen])
			marker->seen++;
	}
	return POOL_ANSWER_MORE;
}
