/*
 * literals.c
 *		Whether a statement means the same whenever it is parsed.
 *
 * A literal becomes a value when the statement is parsed, not when it is
 * executed.  In a prepared statement 'now' is the time of PREPARE for ever, and
 * '2024-03-02 00:00' is read by the TimeZone and DateStyle of that moment; the
 * remote may also parse a prepared statement again at any time, after a change
 * of a table say, with whatever settings the session has then.  So a statement
 * is prepared only if no literal in it can depend on when it is parsed.
 *
 * No attempt is made to find out a literal's type.  What may be a date, a time
 * or an amount of money has a digit or one of a few words; all else that would
 * need more than a look is taken for doubtful: escapes, dollar quotes, comments,
 * literals that are joined.  PostgreSQL documentation: "Date/Time Input
 * Interpretation", "Lexical Structure".
 */
#include "postgres.h"

#include "statement/literals.h"

#define LENGTH_OF(word) (sizeof(word) - 1)

/*
 * Words in a literal that mean something at the time of parsing.  NULL does in
 * an array, by the setting array_nulls.
 */
static const char *const doubtful_words[] = {"now", "today", "tomorrow",
											 "yesterday", "null"};

/*
 * Types whose literals are the number that an object of that name had when the
 * statement was parsed, and functions that take one of them without naming the type.
 * regclass is not among them: there the remote notices when the object goes.
 */
static const char *const name_types[] =
	{"regproc",	 "regoper",		 "regtype",		 "regconfig",	"regdictionary",
	 "regrole",	 "regnamespace", "regcollation", "to_tsvector", "to_tsquery",
	 "plainto_", "phraseto_",	 "websearch_",	 "ts_lexize",	"ts_headline",
	 "ts_parse", "ts_debug",	 "pg_typeof"};

/* Does one of the words begin there?  They are in lower case. */
static bool
is_any_of(const char *at, const char *const *words, int nwords)
{
	for (int i = 0; i < nwords; i++)
	{
		if ((*at | 0x20) == words[i][0] &&
			pg_strncasecmp(at, words[i], strlen(words[i])) == 0)
			return true;
	}
	return false;
}

/* The next character that is not white space. */
static const char *
skip_space(const char *at)
{
	return at + strspn(at, " \t\n\r\f\v");
}

/*
 * Looks at the literal that begins there, with its quote.  Returns what follows
 * it, or NULL if it is doubtful.  Where there may be escapes (E'', U&'') each has a
 * backslash or a digit.
 */
static const char *
pass_literal(const char *at)
{
	for (at++; *at != '\''; at++)
	{
		/* Quotes mean something within ranges, rows and arrays. */
		if (*at == '\0' || *at == '\\' || *at == '"' ||
			isdigit((unsigned char) *at) ||
			is_any_of(at, doubtful_words, lengthof(doubtful_words)))
			return NULL;
	}
	at++;

	/* A doubled quote, or a literal that is joined to this one. */
	return *skip_space(at) == '\'' ? NULL : at;
}

/*
 * Looks at the quoted identifier that begins there, which may be the name of a type.
 * Returns what follows it, or NULL if it is doubtful.
 */
static const char *
pass_identifier(const char *at)
{
	for (at++; *at != '"'; at++)
	{
		if (*at == '\0' || is_any_of(at, name_types, lengthof(name_types)))
			return NULL;
	}
	return at + 1;
}

/* Is that "= NULL", which by the setting transform_null_equals is IS NULL? */
static bool
compares_null(const char *sql, const char *at)
{
	const char *before = at;

	if ((*at | 0x20) != 'n' ||
		pg_strncasecmp(at, "null", LENGTH_OF("null")) != 0)
		return false;
	while (before > sql &&
		   (isspace((unsigned char) before[-1]) || before[-1] == '('))
		before--;
	at += LENGTH_OF("null");
	at += strspn(at, " \t\n\r\f\v)");
	return (before > sql && before[-1] == '=') || *at == '=';
}

/*
 * Can it matter when, and with which settings, the remote parses the statement?
 * True also where that is not known.
 */
bool
pool_literals_may_freeze(const char *sql)
{
	const char *at = sql;

	while (*at != '\0')
	{
		if (*at == '\'')
		{
			at = pass_literal(at);
			if (at == NULL)
				return true;
		}
		else if (*at == '"')
		{
			at = pass_identifier(at);
			if (at == NULL)
				return true;
		}
		else if ((at[0] == '$' && !isdigit((unsigned char) at[1])) ||
				 (at[0] == '-' && at[1] == '-') ||
				 (at[0] == '/' && at[1] == '*') || compares_null(sql, at) ||
				 is_any_of(at, name_types, lengthof(name_types)))
			return true;
		else
			at++;
	}
	return false;
}
