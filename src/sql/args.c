/*
 * args.c
 *		Arguments of SQL functions: what several of them check and convert.
 */
#include "postgres.h"

#include <limits.h>

#include "datatype/timestamp.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "sql/args.h"

/* Raises 22004 if the argument, which the message calls "what", is NULL. */
void
pool_args_refuse_null(FunctionCallInfo fcinfo, int arg, const char *what)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("%s must not be null", what)));
}

/* An argument of type text, as a string.  Raises 22004 as above. */
char *
pool_args_text(FunctionCallInfo fcinfo, int arg, const char *what)
{
	pool_args_refuse_null(fcinfo, arg, what);
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* The first argument, a server's name.  Raises 22004 if it is NULL. */
char *
pool_args_server(FunctionCallInfo fcinfo)
{
	return pool_args_text(fcinfo, 0, "server");
}

/*
 * An interval in milliseconds; -1 for NULL, which means the default.  Raises
 * 22023 if it is negative or longer than an int; the message calls it "what".
 */
int64
pool_args_interval(FunctionCallInfo fcinfo, int arg, const char *what)
{
	Interval *interval;
	double ms;

	if (PG_ARGISNULL(arg))
		return -1;
	interval = PG_GETARG_INTERVAL_P(arg);
	ms = ((double) interval->time +
		  ((double) interval->month * DAYS_PER_MONTH + interval->day) *
			  (double) USECS_PER_DAY) /
		 (double) POOL_CLOCK_US_PER_MS;
	if (ms < 0 || ms > INT_MAX)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s is out of range", what),
						errdetail("It must be between 0 and %d milliseconds.",
								  INT_MAX)));
	return (int64) ms;
}

/*
 * When a timeout that begins now is over, pool_clock_us(); never, for NULL.  Raises
 * 22023 as above.
 */
int64
pool_args_deadline(FunctionCallInfo fcinfo, int arg)
{
	int64 timeout_ms = pool_args_interval(fcinfo, arg, "timeout");

	return timeout_ms < 0 ? PG_INT64_MAX : pool_clock_after_ms(timeout_ms);
}
