/*
 * param_casts.c
 *		Whether a statement's text says of which types its parameters are.
 *
 * A prepared statement keeps the types that were inferred for its parameters though
 * what they were inferred from, a column say, has another type by now.  Where each
 * parameter is cast ($1::int) there is nothing to infer.
 *
 * That is so of the types below alone, which are found in pg_catalog before any
 * other place, unless somebody has put it behind a schema with types of those names.
 * PostgreSQL documentation: "Positional Parameters", "Type Casts".
 */
#include "postgres.h"

#include "statement/param_casts.h"

static const char *const type_names[] = {"int",	   "integer",	 "int4",
										 "bigint", "int8",		 "smallint",
										 "int2",   "text",		 "varchar",
										 "uuid",   "date",		 "boolean",
										 "bool",   "numeric",	 "decimal",
										 "real",   "json",		 "float8",
										 "jsonb",  "float4",	 "bytea",
										 "inet",   "timestamptz"};

/* The next character that is not white space. */
static const char *
skip_space(const char *at)
{
	return at + strspn(at, " \t\n\r\f\v");
}

static bool
is_part_of_name(char c)
{
	return isalnum((unsigned char) c) || c == '_' || c == '$' ||
		   IS_HIGHBIT_SET(c);
}

/* Is there a cast to one of the types? */
static bool
is_cast(const char *at)
{
	size_t len = 0;

	at = skip_space(at);
	if (at[0] != ':' || at[1] != ':')
		return false;
	at = skip_space(at + 2);
	while (is_part_of_name(at[len]))
		len++;
	if (*skip_space(at + len) == '.') /* the name of a schema */
		return false;
	for (int i = 0; i < (int) lengthof(type_names); i++)
	{
		if (strlen(type_names[i]) == len &&
			pg_strncasecmp(at, type_names[i], len) == 0)
			return true;
	}
	return false;
}

/*
 * Is each parameter that has no type cast wherever it is?  False also where that is
 * not known.  The text is one of which pool_literals_may_freeze() has nothing to say:
 * it has neither comments nor quotes within quotes.
 */
bool
pool_param_casts_are_complete(const char *sql, int nparams, const Oid *types)
{
	const char *at = sql;

	while (*at != '\0')
	{
		if (*at == '\'' || *at == '"')
		{
			const char *end = strchr(at + 1, *at);

			if (end == NULL)
				return false;
			at = end + 1;
		}
		else if (*at == '$')
		{
			char *end;
			unsigned long number = strtoul(at + 1, &end, 10);

			if (number < 1 || number > (unsigned long) nparams ||
				(types[number - 1] == InvalidOid && !is_cast(end)))
				return false;
			at = end;
		}
		else
			at++;
	}
	return true;
}
