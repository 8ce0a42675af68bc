/*
 * run_log.c
 *		The log of statements that took long, as pool.log_min_duration says.
 *
 * Data flow: lease_settle.c calls this once for each statement, when the lease is
 * settled and before anything is raised.  So nothing is read from the slot, which
 * may be another session's by now, and an error in here leaves nothing open.
 *
 * The line has texts and values of users, so it goes to the server's log alone,
 * like those of log_min_duration_statement, whatever client_min_messages says.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "mb/stringinfo_mb.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/guc.h"
#include "session/run_log.h"

/*
 * Bytes of a text, and of all values, that are logged.  A line must fit into a
 * string with room for what the log adds and escapes: a statement that has
 * succeeded does not fail for its size in the log.
 */
#define MAX_BYTES ((int) (MaxAllocSize / 16))

/* Microseconds as milliseconds, for the log. */
static double
in_ms(int64 us)
{
	return (double) us / POOL_CLOCK_US_PER_MS;
}

/*
 * Appends a value that travels in binary format: bytea as its output function
 * writes it; of others, which only the remote reads, how many bytes they have.
 */
static void
append_binary(StringInfo buf, const PoolStatement *stmt, int i, int max_bytes)
{
	int length = stmt->lengths[i];
	int shown = Min(length, max_bytes);
	char *text;

	if (stmt->types[i] != BYTEAOID)
	{
		appendStringInfo(buf, "(%d bytes in binary format)", length);
		return;
	}
	text = palloc((Size) shown * 2 + 3);
	memcpy(text, "\\x", 2);
	text[2 + hex_encode(stmt->values[i], shown, text + 2)] = '\0';
	appendStringInfoStringQuoted(buf, text, max_bytes);
	pfree(text);
}

/*
 * The values, cut to so many bytes each (-1: whole), as PostgreSQL logs them; NULL
 * if there are none, or none are wanted.
 */
static char *
spell_params(const PoolStatement *stmt, int max_bytes)
{
	StringInfoData buf;

	if (stmt->nparams == 0 || stmt->only_describe || max_bytes == 0)
		return NULL;
	if (max_bytes < 0 || max_bytes > MAX_BYTES)
		max_bytes = MAX_BYTES;
	initStringInfo(&buf);
	for (int i = 0; i < stmt->nparams; i++)
	{
		if (buf.len > MAX_BYTES)
		{
			appendStringInfoString(&buf, ", ...");
			break;
		}
		appendStringInfo(&buf, "%s$%d = ", i > 0 ? ", " : "", i + 1);
		if (stmt->values[i] == NULL)
			appendStringInfoString(&buf, "NULL");
		else if (stmt->formats[i] == 1)
			append_binary(&buf, stmt, i, max_bytes);
		else
			appendStringInfoStringQuoted(&buf, stmt->values[i], max_bytes);
	}
	return buf.data;
}

/* For ereport(): on which connection it ran, and with which values. */
static int
report_run(const PoolRun *run, const char *params)
{
	const char *reset = run->prove ? ", and was reset before the statement" : "";

	if (params == NULL)
		return errdetail("The remote process is %d%s.", run->remote_pid, reset);
	return errdetail("The remote process is %d%s.  Parameters: %s",
					 run->remote_pid, reset, params);
}

/*
 * Logs the statement if it was sent and has taken pool.log_min_duration, the wait
 * for the connection included.  sqlstate is 0 if it has succeeded.  What went
 * before it was sent for the last time is its wait.
 *
 * Raises what ereport() does: a cancel, 53200.
 */
void
pool_run_log(const PoolLease *lease, const PoolRun *run, int sqlstate)
{
	const PoolStatement *stmt = run->statement;
	int64 now;
	int64 rows;
	int length;
	char *params;

	if (pool_guc_log_min_duration < 0 || !run->sent)
		return;
	now = pool_clock_us();
	if (now - lease->started < pool_clock_from_ms(pool_guc_log_min_duration))
		return;
	rows = pool_result_rows(run->result);
	if (rows == 0)
		rows = pool_result_affected(run->result);
	length = (int) strlen(stmt->sql);
	if (length > MAX_BYTES)
		length = pg_mbcliplen(stmt->sql, length, MAX_BYTES);
	params =
		spell_params(stmt, sqlstate == 0 ? log_parameter_max_length
										 : log_parameter_max_length_on_error);
	ereport(LOG_SERVER_ONLY,
			(errcode(sqlstate), errhidestmt(true),
			 errmsg("remote statement on server \"%s\": duration: %.3f ms  "
					"wait: %.3f ms  rows: " INT64_FORMAT
					"  %s%s%sstatement: %.*s",
					NameStr(lease->target.server_name), in_ms(now - run->sent_at),
					in_ms(run->sent_at - lease->started), rows,
					sqlstate == 0 ? "" : "error: ",
					sqlstate == 0 ? "" : unpack_sql_state(sqlstate),
					sqlstate == 0 ? "" : "  ", length, stmt->sql),
			 report_run(run, params)));
	if (params != NULL)
		pfree(params);
}
