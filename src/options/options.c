/*
 * options.c
 *		The pool's own options: the table, and how a value is read.
 *
 * Each option has a kind, a default and a range; with them pool_options_set()
 * turns a text into a field of PoolOptions.  pool_validator() calls it for what
 * is about to be written, to refuse what is wrong, and pool_target_resolve()
 * for what the catalogs say.
 */
#include "postgres.h"

#include <limits.h>

#include "utils/builtins.h"
#include "utils/guc.h"

#include "base/guc.h"
#include "options/option_table.h"
#include "options/options.h"

#define SECOND 1000
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

/* The longest time in whole days that an int of milliseconds can hold. */
#define LONGEST (24 * DAY)

#define MAX_SIZE POOL_MAX_CONNECTIONS
#define MAX_COUNT 1000000

/* Tests run with these off by default, too: test/run.sh --without. */
#ifndef POOL_DEFAULT_STATEMENT_CACHE
#define POOL_DEFAULT_STATEMENT_CACHE 64
#endif
#ifndef POOL_DEFAULT_FAIRNESS_ROUND
#define POOL_DEFAULT_FAIRNESS_ROUND 100
#endif

#define NUMBER(name, kind, contexts, def, min, max)                          \
	{                                                                        \
#name, POOL_KIND_##kind, offsetof(PoolOptions, name), contexts, def, \
			min, max, NULL                                                   \
	}
#define TEXT(name, def)                                                        \
	{                                                                          \
#name, POOL_KIND_TEXT, offsetof(PoolOptions, name), POOL_ON_SERVER, 0, \
			0, 0, def                                                          \
	}

#define SERVER POOL_ON_SERVER
#define BOTH (POOL_ON_SERVER | POOL_ON_MAPPING)

const PoolOptionDef pool_options_table[] =
	{NUMBER(min_size, INT, BOTH, 0, 0, MAX_SIZE),
	 NUMBER(max_size, INT, BOTH, 10, 1, MAX_SIZE),
	 NUMBER(max_server_size, INT, SERVER, 0, 0, MAX_SIZE), /* 0: no limit */
	 NUMBER(acquire_timeout, DURATION, BOTH, 30 * SECOND, 0, LONGEST),
	 NUMBER(query_timeout, DURATION, BOTH, 0, 0, LONGEST), /* 0: off */
	 NUMBER(max_waiters, INT, SERVER, 0, 0, MAX_COUNT),	   /* 0: no limit */
	 NUMBER(fairness_round, DURATION, SERVER, POOL_DEFAULT_FAIRNESS_ROUND, 0,
			MINUTE), /* 0: off */
	 NUMBER(priority, INT, BOTH, 0, -POOL_MAX_PRIORITY, POOL_MAX_PRIORITY),
	 NUMBER(idle_timeout, DURATION, SERVER, 10 * MINUTE, 0, LONGEST),
	 NUMBER(max_lifetime, DURATION, SERVER, 30 * MINUTE, 0, LONGEST),
	 NUMBER(lifetime_jitter, PERCENT, SERVER, 10, 0, 100),
	 NUMBER(validate_after_idle, DURATION, SERVER, 5 * SECOND, 0, LONGEST),
	 NUMBER(health_check_interval, DURATION, SERVER, 30 * SECOND, 0, LONGEST),
	 TEXT(health_check_query, ""),
	 NUMBER(health_check_timeout, DURATION, SERVER, 5 * SECOND, 1, HOUR),
	 TEXT(reset_query, POOL_DEFAULT_RESET),
	 NUMBER(retry_attempts, INT, SERVER, 5, 0, 1000),
	 NUMBER(retry_delay, DURATION, SERVER, 200, 1, DAY),
	 NUMBER(retry_max_delay, DURATION, SERVER, 10 * SECOND, 1, DAY),
	 NUMBER(retry_jitter, PERCENT, SERVER, 10, 0, 100),
	 NUMBER(breaker_threshold, INT, SERVER, 5, 0, MAX_COUNT), /* 0: off */
	 NUMBER(breaker_timeout, DURATION, SERVER, 1 * SECOND, 1, DAY),
	 NUMBER(breaker_successes, INT, SERVER, 2, 1, 1000),
	 NUMBER(leak_threshold, DURATION, SERVER, 5 * MINUTE, 0, LONGEST),
	 NUMBER(leak_action, LEAK_ACTION, SERVER, POOL_LEAK_WARN, POOL_LEAK_WARN,
			POOL_LEAK_RECLAIM),
	 NUMBER(autoscale, BOOL, SERVER, false, 0, 1),
	 NUMBER(scale_up_threshold, PERCENT, SERVER, 80, 1, 100),
	 NUMBER(scale_down_threshold, PERCENT, SERVER, 50, 0, 99),
	 NUMBER(scale_step, PERCENT, SERVER, 20, 1, 100),
	 NUMBER(scale_interval, DURATION, SERVER, 60 * SECOND, 100, DAY),
	 NUMBER(connect_parallel, INT, SERVER, 4, 1, 100),
	 NUMBER(connect_timeout, CONNECT_TIMEOUT, SERVER, 10 * SECOND, 0, LONGEST),
	 NUMBER(statement_cache, INT, BOTH, POOL_DEFAULT_STATEMENT_CACHE, 0,
			POOL_MAX_STATEMENT_CACHE), /* 0: off */
	 NUMBER(statement_plan, STATEMENT_PLAN, BOTH, POOL_PLAN_AUTO,
			POOL_PLAN_AUTO, POOL_PLAN_CUSTOM),
	 {"password_required", POOL_KIND_BOOL, -1, POOL_ON_MAPPING, true, 0, 1, NULL},
	 {NULL, POOL_KIND_INT, -1, 0, 0, 0, 0, NULL}};

StaticAssertDecl(lengthof(pool_options_table) <= 64,
				 "PoolOptionSet has no bit for some options");

/* Pairs of options of which the first must not be greater than the second. */
static const struct
{
	const char *low;
	const char *high;
	bool strict;	/* nor may they be equal */
	bool unlimited; /* 0 as the second means that there is no limit */
} relations[] = {
	{"min_size", "max_size", false, false},
	{"min_size", "max_server_size", false, true},
	{"retry_delay", "retry_max_delay", false, false},
	{"scale_down_threshold", "scale_up_threshold", true, false},
};

/* The pool's own option of that name, or NULL. */
const PoolOptionDef *
pool_options_find(const char *name)
{
	for (const PoolOptionDef *def = pool_options_table; def->name; def++)
	{
		if (strcmp(def->name, name) == 0)
			return def;
	}
	return NULL;
}

/* The field of an option that is a number. */
static int *
number_field(const PoolOptionDef *def, const PoolOptions *options)
{
	Assert(def->offset >= 0 && def->kind != POOL_KIND_TEXT);
	return (int *) ((char *) options + def->offset);
}

/* The field of an option that is a text: POOL_QUERY_OPTION_LEN bytes. */
static char *
text_field(const PoolOptionDef *def, PoolOptions *options)
{
	Assert(def->offset >= 0 && def->kind == POOL_KIND_TEXT);
	return (char *) options + def->offset;
}

/* Fills in the defaults; every byte of *options is set. */
void
pool_options_defaults(PoolOptions *options)
{
	memset(options, 0, sizeof(*options));
	for (const PoolOptionDef *def = pool_options_table; def->name; def++)
	{
		if (def->kind == POOL_KIND_TEXT)
			strlcpy(text_field(def, options), def->default_text,
					POOL_QUERY_OPTION_LEN);
		else if (def->offset >= 0)
			*number_field(def, options) = def->default_number;
	}
}

/*
 * A number as a user would write it: a time in the largest unit of which it is
 * a multiple.
 */
static char *
number_text(const PoolOptionDef *def, int value)
{
	static const struct
	{
		int ms;
		const char *unit;
	} units[] = {{DAY, "d"},
				 {HOUR, "h"},
				 {MINUTE, "min"},
				 {SECOND, "s"},
				 {1, "ms"}};

	if (def->kind == POOL_KIND_PERCENT)
		return psprintf("%d%%", value);
	if ((def->kind == POOL_KIND_DURATION ||
		 def->kind == POOL_KIND_CONNECT_TIMEOUT) &&
		value != 0)
	{
		for (size_t i = 0; i < lengthof(units); i++)
		{
			if (value % units[i].ms == 0)
				return psprintf("%d%s", value / units[i].ms, units[i].unit);
		}
	}
	return psprintf("%d", value);
}

/* The errdetail() for a value that is refused: what would be accepted. */
static int
detail_of_kind(const PoolOptionDef *def)
{
	char *min = number_text(def, def->min);
	char *max = number_text(def, def->max);

	switch (def->kind)
	{
		case POOL_KIND_INT:
			return errdetail("It must be an integer from %s to %s.", min, max);
		case POOL_KIND_DURATION:
			return errdetail("It must be a time from %s to %s; "
							 "a number without a unit is in milliseconds.",
							 min, max);
		case POOL_KIND_CONNECT_TIMEOUT:
			return errdetail("It must be a time from %s to %s; "
							 "a number without a unit is in seconds.",
							 min, max);
		case POOL_KIND_PERCENT:
			return errdetail("It must be a percentage from %s to %s.", min, max);
		case POOL_KIND_BOOL:
			return errdetail(
				"It must be a Boolean value, such as \"on\" or \"off\".");
		case POOL_KIND_LEAK_ACTION:
			return errdetail("It must be \"warn\" or \"reclaim\".");
		case POOL_KIND_STATEMENT_PLAN:
			return errdetail("It must be \"auto\" or \"custom\".");
		case POOL_KIND_TEXT:
			break;
	}
	return errdetail("It must have at most %d bytes.",
					 POOL_QUERY_OPTION_LEN - 1);
}

/* Parses an integer, with or without a percent sign. */
static bool
parse_percent(const char *value, int *result, const char **hint)
{
	char *number = pstrdup(value);
	size_t len = strlen(number);

	if (len > 0 && number[len - 1] == '%')
		number[len - 1] = '\0';
	return parse_int(number, result, 0, hint);
}

/*
 * Parses connect_timeout.  libpq counts in seconds, and for it zero and less is
 * no limit; so it is written for servers of other wrappers.
 */
static bool
parse_connect_timeout(const char *value, int *result, const char **hint)
{
	int seconds;

	if (!parse_int(value, &seconds, 0, NULL))
		return parse_int(value, result, GUC_UNIT_MS, hint);
	if (seconds > INT_MAX / SECOND)
		return false;
	*result = Max(seconds, 0) * SECOND;
	return true;
}

/*
 * Parses the value of an option that is a number; false if it is none of that
 * kind, with a hint of PostgreSQL's in *hint if there is one.
 */
static bool
parse_number(const PoolOptionDef *def, const char *value, int *result,
			 const char **hint)
{
	bool truth;

	switch (def->kind)
	{
		case POOL_KIND_INT:
			return parse_int(value, result, 0, hint);
		case POOL_KIND_DURATION:
			return parse_int(value, result, GUC_UNIT_MS, hint);
		case POOL_KIND_CONNECT_TIMEOUT:
			return parse_connect_timeout(value, result, hint);
		case POOL_KIND_PERCENT:
			return parse_percent(value, result, hint);
		case POOL_KIND_BOOL:
			if (!parse_bool(value, &truth))
				return false;
			*result = truth;
			return true;
		case POOL_KIND_LEAK_ACTION:
			*result = pg_strcasecmp(value, "reclaim") == 0 ? POOL_LEAK_RECLAIM
														   : POOL_LEAK_WARN;
			return *result == POOL_LEAK_RECLAIM ||
				   pg_strcasecmp(value, "warn") == 0;
		case POOL_KIND_STATEMENT_PLAN:
			*result = pg_strcasecmp(value, "custom") == 0 ? POOL_PLAN_CUSTOM
														  : POOL_PLAN_AUTO;
			return *result == POOL_PLAN_CUSTOM ||
				   pg_strcasecmp(value, "auto") == 0;
		case POOL_KIND_TEXT:
			break;
	}
	return false;
}

/*
 * Whether there is nothing after the first semicolon: the extended protocol, by
 * which the queries are sent, takes one statement.
 */
static bool
is_one_statement(const char *query)
{
	const char *end = strchr(query, ';');

	return end == NULL || end[strspn(end, "; \t\n\r")] == '\0';
}

static void
set_text(const PoolOptionDef *def, const char *value, PoolOptions *options)
{
	/* The value is not shown: it is long. */
	if (strlen(value) >= POOL_QUERY_OPTION_LEN)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("value of option \"%s\" is too long", def->name),
						detail_of_kind(def)));
	if (!is_one_statement(value))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("value of option \"%s\" is more than one statement",
						def->name),
				 errhint("Put the statements into a function on the remote.")));
	strlcpy(text_field(def, options), value, POOL_QUERY_OPTION_LEN);
}

static int
set_number(const PoolOptionDef *def, const char *value, PoolOptions *options)
{
	const char *hint = NULL;
	int number = 0;

	if (!parse_number(def, value, &number, &hint) || number < def->min ||
		number > def->max)
		ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
						errmsg("invalid value for option \"%s\": \"%s\"",
							   def->name, value),
						detail_of_kind(def), hint ? errhint("%s", _(hint)) : 0));
	if (def->offset >= 0)
		*number_field(def, options) = number;
	return number;
}

/* The option's bit in a PoolOptionSet. */
static PoolOptionSet
option_bit(const PoolOptionDef *def)
{
	return UINT64CONST(1) << (def - pool_options_table);
}

/*
 * Reads one value into its field, if it has one, and notes that it was given.
 * Returns the number, or 0 for a text.  Raises FDW_INVALID_ATTRIBUTE_VALUE.
 */
int
pool_options_set(const PoolOptionDef *def, const char *value,
				 PoolOptions *options, PoolOptionSet *given)
{
	int number = 0;

	if (def->kind == POOL_KIND_TEXT)
		set_text(def, value, options);
	else
		number = set_number(def, value, options);
	*given |= option_bit(def);
	return number;
}

/* The errdetail() for two options that contradict each other. */
static int
detail_of_conflict(const PoolOptionDef *low, const PoolOptionDef *high,
				   const PoolOptions *options, PoolOptionSet given)
{
	char *low_text = number_text(low, *number_field(low, options));
	char *high_text = number_text(high, *number_field(high, options));

	/* Defaults do not contradict each other, so one of the two was given. */
	if ((given & option_bit(high)) == 0)
		return errdetail("\"%s\" is %s, and \"%s\" is %s by default.",
						 low->name, low_text, high->name, high_text);
	if ((given & option_bit(low)) == 0)
		return errdetail("\"%s\" is %s by default, and \"%s\" is %s.",
						 low->name, low_text, high->name, high_text);
	return errdetail("\"%s\" is %s, and \"%s\" is %s.", low->name, low_text,
					 high->name, high_text);
}

/*
 * Raises INVALID_PARAMETER_VALUE when two options contradict each other.
 * "complete": what was not given has its default.  Otherwise it is not known
 * yet, and only options that were given are compared.
 */
void
pool_options_check(const PoolOptions *options, PoolOptionSet given,
				   bool complete)
{
	for (size_t i = 0; i < lengthof(relations); i++)
	{
		const PoolOptionDef *low = pool_options_find(relations[i].low);
		const PoolOptionDef *high = pool_options_find(relations[i].high);
		PoolOptionSet both = option_bit(low) | option_bit(high);
		int a = *number_field(low, options);
		int b = *number_field(high, options);

		if (!complete && (given & both) != both)
			continue;
		if (a < b || (a == b && !relations[i].strict) ||
			(b == 0 && relations[i].unlimited))
			continue;

		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 relations[i].strict
					 ? errmsg("option \"%s\" must be less than \"%s\"",
							  low->name, high->name)
					 : errmsg("option \"%s\" must not be greater than \"%s\"",
							  low->name, high->name),
				 detail_of_conflict(low, high, options, given)));
	}
}
