/*
 * encoding.c
 *		Text that was written in another database.
 *
 * Shared memory has names as the sessions of the pool's database wrote them, in
 * that database's encoding (Pool.encoding).  Whoever shows one in a session
 * passes it through here.  The worker writes them into the log as they are: so do
 * the sessions of that database.
 *
 * Names of databases and roles are no better in PostgreSQL itself: they have the
 * encoding of the database where they were given, which nobody knows.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"

#include "sql/encoding.h"

/* With \xNN in the place of each byte that is not ASCII. */
static char *
escape(const char *text)
{
	char *result = palloc(4 * strlen(text) + 1);
	char *end = result;

	for (; *text != '\0'; text++)
	{
		if (IS_HIGHBIT_SET(*text))
			end += sprintf(end, "\\x%02x", (unsigned char) *text);
		else
			*end++ = *text;
	}
	*end = '\0';
	return result;
}

/* In this database's encoding, or NULL if that has no equivalent of it. */
static char *
convert(const char *text, int encoding)
{
	int here = GetDatabaseEncoding();
	Oid conversion = FindDefaultConversionProc(encoding, here);
	int length = (int) strlen(text);
	int size = length * MAX_CONVERSION_GROWTH + 1;
	char *result = palloc(size);

	if (OidIsValid(conversion) &&
		pg_do_encoding_conversion_buf(conversion, encoding, here,
									  (unsigned char *) unconstify(char *, text),
									  length, (unsigned char *) result, size,
									  true) == length)
		return result;
	return NULL;
}

/*
 * The text, which is in that encoding, as this database can have it: converted
 * if it can be, else with what is not ASCII escaped.  Needs a transaction.
 */
char *
pool_encoding_here(const char *text, int encoding)
{
	int here = GetDatabaseEncoding();
	char *result = NULL;

	if (encoding != here && encoding != PG_SQL_ASCII && here != PG_SQL_ASCII)
		result = convert(text, encoding);
	else if (pg_verify_mbstr(here, text, (int) strlen(text), true))
		result = pstrdup(text);
	return result ? result : escape(text);
}
