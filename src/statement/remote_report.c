/*
 * remote_report.c
 *		What the remote reports, as reports of this server.
 *
 * An error is copied out of its PGresult when it arrives, and raised when the
 * lease is settled.  A notice arrives in the middle of a libpq call, which must
 * not be left by an error, so it is put on a list there and shown when the call
 * has returned.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "statement/remote_report.h"

/* Bytes that are not text in this database's encoding become question marks. */
static char *
as_text(char *bytes)
{
	if (!pg_verifymbstr(bytes, (int) strlen(bytes), true))
	{
		for (char *c = bytes; *c; c++)
			if (IS_HIGHBIT_SET(*c))
				*c = '?';
	}
	return bytes;
}

/* A field of the remote's report, palloc'd; NULL if it has none. */
static char *
copy_field(const PGresult *res, int field)
{
	const char *value = PQresultErrorField(res, field);

	return value ? as_text(pstrdup(value)) : NULL;
}

static int
parse_sqlstate(const PGresult *res, int otherwise)
{
	const char *code = PQresultErrorField(res, PG_DIAG_SQLSTATE);

	if (code == NULL || strlen(code) != 5)
		return otherwise;
	return MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]);
}

/*
 * An error has one, whatever the remote says: 0, which is "00000", means in many places
 * that there is none.
 */
static int
sqlstate_of_error(int sqlstate)
{
	return sqlstate != ERRCODE_SUCCESSFUL_COMPLETION ? sqlstate
													 : ERRCODE_INTERNAL_ERROR;
}

/* Is it the last word of a remote session? */
static bool
is_last_word(const PGresult *res)
{
	const char *name = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

	return name && (strcmp(name, "FATAL") == 0 || strcmp(name, "PANIC") == 0);
}

static PoolRemoteReport *
copy_report(const PGresult *res, int elevel, int sqlstate)
{
	PoolRemoteReport *report = palloc0(sizeof(PoolRemoteReport));

	report->ended = is_last_word(res);
	report->elevel = elevel;
	report->sqlstate = parse_sqlstate(res, sqlstate);
	report->message = copy_field(res, PG_DIAG_MESSAGE_PRIMARY);
	report->detail = copy_field(res, PG_DIAG_MESSAGE_DETAIL);
	report->hint = copy_field(res, PG_DIAG_MESSAGE_HINT);
	report->context = copy_field(res, PG_DIAG_CONTEXT);
	report->schema = copy_field(res, PG_DIAG_SCHEMA_NAME);
	report->table = copy_field(res, PG_DIAG_TABLE_NAME);
	report->column = copy_field(res, PG_DIAG_COLUMN_NAME);
	report->datatype = copy_field(res, PG_DIAG_DATATYPE_NAME);
	report->constraint = copy_field(res, PG_DIAG_CONSTRAINT_NAME);
	return report;
}

/*
 * Says the remote that the statement has another number of parameters than were given?
 * Its SQLSTATE is that of a broken protocol, which this is not.  In another language it
 * says so in other words.
 */
static bool
is_of_parameter_count(const PoolRemoteReport *report)
{
	static const char start[] = "bind message supplies ";

	return report->sqlstate == ERRCODE_PROTOCOL_VIOLATION &&
		   report->message != NULL &&
		   strncmp(report->message, start, sizeof(start) - 1) == 0;
}

/*
 * The error in a result, in the current memory context.  An error of libpq's
 * own, which has no SQLSTATE, means that the connection was lost.
 */
PoolRemoteReport *
pool_remote_report_error(const PGresult *res)
{
	PoolRemoteReport *report =
		copy_report(res, ERROR, ERRCODE_CONNECTION_FAILURE);

	report->sqlstate = sqlstate_of_error(report->sqlstate);
	report->text = as_text(pchomp(PQresultErrorMessage(res)));
	if (report->message == NULL)
	{
		report->ended = true;
		report->message = pstrdup("connection to the remote was lost");
		report->detail = pchomp(PQresultErrorMessage(res));
		if (report->detail[0] == '\0')
			report->detail = NULL;
		report->hint = pstrdup(POOL_HINT_CHECK_EXECUTION);
	}
	else if (report->hint == NULL && is_of_parameter_count(report))
		report->hint =
			pstrdup("Give a value for each parameter of the statement.");
	return report;
}

/*
 * Is that error a report of the backend at the other end itself?  Each of its
 * reports names the function that it comes from, which neither libpq nor a
 * pooler in between does in theirs.  *ended tells whether the backend has ended
 * with it.
 */
bool
pool_remote_report_is_backends(const PGresult *res, bool *ended)
{
	const char *severity =
		PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

	*ended = severity != NULL &&
			 (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0);
	return severity != NULL &&
		   PQresultErrorField(res, PG_DIAG_SOURCE_FUNCTION) != NULL;
}

/*
 * Reports it here, as what happened in that context, or else in a remote statement.
 * Raises an error.
 */
static void
emit(const PoolRemoteReport *report, const char *server_name,
	 const char *context)
{
	const char *where =
		context != NULL
			? context
			: psprintf("remote statement on server \"%s\"", server_name);

#define FIELD(field, value) ((value) ? err_generic_string(field, (value)) : 0)

	ereport(report->elevel,
			(errcode(report->sqlstate), errmsg_internal("%s", report->message),
			 report->detail ? errdetail_internal("%s", report->detail) : 0,
			 report->hint ? errhint("%s", report->hint) : 0,
			 report->context ? errcontext("%s", report->context) : 0,
			 errcontext("%s", where), FIELD(PG_DIAG_SCHEMA_NAME, report->schema),
			 FIELD(PG_DIAG_TABLE_NAME, report->table),
			 FIELD(PG_DIAG_COLUMN_NAME, report->column),
			 FIELD(PG_DIAG_DATATYPE_NAME, report->datatype),
			 FIELD(PG_DIAG_CONSTRAINT_NAME, report->constraint)));
#undef FIELD
}

/*
 * Raises the remote's error, with its SQLSTATE and fields, as one of this server; in
 * that context, or if it is NULL, in a remote statement.
 */
void
pool_remote_report_raise(const PoolRemoteReport *report,
						 const char *server_name, const char *context)
{
	emit(report, server_name, context);
}

/*
 * The level at which a notice is shown here.  It is the remote's, but LOG would
 * go to this server's log, which a remote must not be able to fill; it is shown
 * as a notice instead.
 */
static int
notice_level(const PGresult *res)
{
	static const struct
	{
		const char *name;
		int elevel;
	} levels[] = {{"WARNING", WARNING}, {"NOTICE", NOTICE}, {"INFO", INFO},
				  {"LOG", NOTICE},		{"DEBUG", DEBUG1},	{"DEBUG1", DEBUG1},
				  {"DEBUG2", DEBUG2},	{"DEBUG3", DEBUG3}, {"DEBUG4", DEBUG4},
				  {"DEBUG5", DEBUG5}};
	const char *name = PQresultErrorField(res, PG_DIAG_SEVERITY_NONLOCALIZED);

	for (int i = 0; name && i < (int) lengthof(levels); i++)
	{
		if (strcmp(name, levels[i].name) == 0)
			return levels[i].elevel;
	}
	return NOTICE;
}

/* libpq's notice receiver: puts the notice on the list. */
static void
receive_notice(void *arg, const PGresult *res)
{
	PoolNotices *notices = arg;
	MemoryContext old;
	PoolRemoteReport *report;

	notices->largest = Max(notices->largest, PQresultMemorySize(res));

	/* A notice of libpq's own is of no use to users, but a bad sign. */
	if (PQresultErrorField(res, PG_DIAG_SQLSTATE) == NULL)
	{
		notices->protocol_doubt = true;
		return;
	}
	if (PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY) == NULL)
		return;

	/*
	 * Running out of memory here would leave libpq in the middle of its work,
	 * but then the connection is closed, as after any error.
	 */
	old = MemoryContextSwitchTo(TopMemoryContext);
	report = copy_report(res, notice_level(res), ERRCODE_SUCCESSFUL_COMPLETION);
	if (report->ended && notices->farewell == NULL)
		notices->farewell = report;
	else
		notices->list = lappend(notices->list, report);
	MemoryContextSwitchTo(old);
}

/* From now on the connection's notices are kept in "notices". */
void
pool_remote_report_listen(PGconn *conn, PoolNotices *notices)
{
	PQsetNoticeReceiver(conn, receive_notice, notices);
}

static void
free_report(PoolRemoteReport *report)
{
	char *fields[] = {report->message, report->detail,	 report->hint,
					  report->context, report->schema,	 report->table,
					  report->column,  report->datatype, report->constraint};

	for (int i = 0; i < (int) lengthof(fields); i++)
	{
		if (fields[i])
			pfree(fields[i]);
	}
	pfree(report);
}

/*
 * Why the remote has ended its session while no statement ran, for libpq a
 * notice: SQLSTATE and message, in the current memory context.  NULL: it has
 * not said.
 */
PoolRemoteReport *
pool_remote_report_farewell(const PoolNotices *notices)
{
	PoolRemoteReport *report;

	if (notices->farewell == NULL)
		return NULL;
	report = palloc0(sizeof(PoolRemoteReport));
	report->elevel = ERROR;
	report->sqlstate = sqlstate_of_error(notices->farewell->sqlstate);
	report->ended = true;
	report->message = pstrdup(notices->farewell->message);
	return report;
}

/*
 * Shows the notices that have come, unless they are held back.  Each stays on
 * the list until it was shown: a cancel can be taken while it is, and then the
 * list goes with the copy.
 */
void
pool_remote_report_show_notices(PoolNotices *notices, const char *server_name)
{
	while (notices->list != NIL && !notices->held)
	{
		PoolRemoteReport *report = linitial(notices->list);

		emit(report, server_name, NULL);
		notices->list = list_delete_first(notices->list);
		free_report(report);
	}
}

/*
 * Frees the notices that have come, without showing them, but for why the remote has
 * ended its session.  Raises nothing.
 */
void
pool_remote_report_discard_notices(PoolNotices *notices)
{
	ListCell *cell;

	foreach (cell, notices->list)
	{
		free_report(lfirst(cell));
	}
	list_free(notices->list);
	notices->list = NIL;
}

/* Frees all notices that have come, without showing them.  Raises nothing. */
void
pool_remote_report_drop_notices(PoolNotices *notices)
{
	if (notices->farewell != NULL)
		free_report(notices->farewell);
	notices->farewell = NULL;
	pool_remote_report_discard_notices(notices);
}
