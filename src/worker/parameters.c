/*
 * parameters.c
 *		What a remote has reported about itself.
 *
 * Sessions get it with the descriptor, for the PGconn that they build around
 * that.  libpq has it when it has connected; what changes in resets is noted
 * here, since libpq takes no part in them (answer.c).
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "worker/parameters.h"

/*
 * The parameters that libpq and its callers ask for.  libpq has no call to
 * enumerate what the remote has reported.  It looks first at what came last, so
 * those come last for which a session asks after every statement.
 */
static const char *const names[POOL_PARAMETERS_COUNT] = {
	"server_version",
	"server_encoding",
	"application_name",
	"integer_datetimes",
	"in_hot_standby",
	"is_superuser",
	"session_authorization",
	"standard_conforming_strings",
	"default_transaction_read_only",
	"search_path",
	"client_encoding",
	"DateStyle",
	"IntervalStyle",
	"TimeZone",
};

static void
set(char **place, const char *value)
{
	if (*place != NULL)
		pfree(*place);
	*place = NULL;
	if (value != NULL && strlen(value) < POOL_PARAMETERS_LEN)
		*place = MemoryContextStrdup(TopMemoryContext, value);
}

/* Takes what libpq has learnt in connecting. */
void
pool_parameters_take(PoolParameters *parameters, const PGconn *conn)
{
	for (int i = 0; i < POOL_PARAMETERS_COUNT; i++)
		set(&parameters->values[i], PQparameterStatus(conn, names[i]));
}

/*
 * Notes what the remote has reported now, if it is one of the parameters that
 * are kept.
 */
void
pool_parameters_set(PoolParameters *parameters, const char *name,
					const char *value)
{
	for (int i = 0; i < POOL_PARAMETERS_COUNT; i++)
	{
		if (strcmp(name, names[i]) == 0)
			set(&parameters->values[i], value);
	}
}

/*
 * Appends names and values, each with its NUL; returns how many strings these
 * are.
 */
int
pool_parameters_append(const PoolParameters *parameters, StringInfo data)
{
	int nstrings = 0;

	for (int i = 0; i < POOL_PARAMETERS_COUNT; i++)
	{
		const char *value = parameters->values[i];

		if (value == NULL)
			continue;
		appendBinaryStringInfo(data, names[i], strlen(names[i]) + 1);
		appendBinaryStringInfo(data, value, strlen(value) + 1);
		nstrings += 2;
	}
	return nstrings;
}

/* Forgets them all. */
void
pool_parameters_free(PoolParameters *parameters)
{
	for (int i = 0; i < POOL_PARAMETERS_COUNT; i++)
		set(&parameters->values[i], NULL);
}
