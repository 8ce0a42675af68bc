/*
 * link_run.c
 *		Running statements over a link.
 *
 * A statement runs on the link's lease; if it has none, one is acquired.  The answer is
 * kept as it came (statement/sets.c), and nothing of it is read before the statement
 * has ended and it is known whether the link keeps its lease.  So an error in reading,
 * or what an input function does with the same link, finds nothing half done.
 *
 * In mode "transaction" a link keeps its lease only as long as something is at the
 * remote on which its user counts: a transaction, what SET and the like have set up,
 * or a statement that was sent and not read.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/guc.h"
#include "dblink/link_run.h"
#include "session/acquire_error.h"
#include "session/lease_run.h"
#include "session/raised.h"
#include "session/request_run.h"
#include "session/run_error.h"
#include "session/session.h"

/* What errors of a statement say of where they happened, as with dblink. */
static char *
make_context(const char *name, const char *doing)
{
	return name != NULL
			   ? psprintf("%s on dblink connection named \"%s\"", doing, name)
			   : psprintf("%s on unnamed dblink connection", doing);
}

/*
 * Is a transaction open on the link's connection?  As long as nothing was proven, libpq
 * has in mind what was so in an earlier lease, before the worker's reset.
 */
bool
pool_link_run_in_transaction(const PoolLink *link)
{
	const PoolLease *lease = link->lease;

	return lease != NULL && lease->copy != NULL && !lease->prove &&
		   PQtransactionStatus(lease->copy->pg) != PQTRANS_IDLE;
}

/* Has the lease lost its connection? */
static bool
is_lost(const PoolLease *lease)
{
	return lease->request.slot == POOL_NONE || lease->copy == NULL ||
		   pool_lease_is_reclaimed(lease);
}

/* Is there something at the remote on which the link's user counts? */
static bool
holds(const PoolLink *link)
{
	return link->lease->holds || pool_link_run_in_transaction(link);
}

/*
 * A statement has ended, one way or another, and nothing is left of it: what becomes of
 * the lease?  What its user counts on was noted when the statement before had ended,
 * since a connection that is lost tells nothing.  Raises nothing.
 */
void
pool_link_run_settle(PoolLink *link)
{
	bool transaction = pool_guc_dblink_mode == POOL_DBLINK_TRANSACTION;

	if (link->lease == NULL)
		return;
	Assert(link->request == NULL);
	if (is_lost(link->lease))
	{
		link->broken = link->held || !transaction;
		pool_link_end_lease(link);
		return;
	}
	link->held = holds(link);
	if (transaction && !link->held)
	{
		/* It goes back as one statement's lease would. */
		link->lease->scope = POOL_LEASE_STATEMENT;
		pool_link_end_lease(link);
	}
}

/* An error that is not the remote's, to be thrown as one. */
static ErrorData *
make_error(int sqlstate, const char *message, const char *context)
{
	ErrorData *error = palloc0(sizeof(ErrorData));

	error->sqlerrcode = sqlstate;
	error->message = pstrdup(message);
	error->context = context != NULL ? pstrdup(context) : NULL;
	return error;
}

/* Has the link lost its connection, and what was set up on it?  Raises nothing. */
bool
pool_link_run_is_broken(PoolLink *link)
{
	if (link->lease != NULL && is_lost(link->lease))
		pool_link_run_settle(link);
	return link->broken;
}

static ErrorData *
broken_error(const PoolLink *link, const char *context)
{
	const char *name = NameStr(link->name);
	ErrorData *error =
		make_error(ERRCODE_CONNECTION_DOES_NOT_EXIST,
				   name[0] != '\0' ? psprintf("connection \"%s\" was lost", name)
								   : "connection was lost",
				   context);

	error->hint = pstrdup("Call dblink_disconnect() and dblink_connect().");
	return error;
}

/* Raises the error of acquiring, as dblink says that it could not connect. */
static void
raise_not_connected(ErrorData *error)
{
	if (error->sqlerrcode == ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED)
	{
		error->message = "password is required";
		error->detail = "Non-superuser cannot connect if the server does not "
						"request a password.";
		error->hint = "Target server's authentication method must be changed.";
	}
	else
	{
		error->sqlerrcode = ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;
		error->message = "could not establish connection";
	}
	error->context = NULL; /* it is found again */
	pool_link_run_throw(error, true);
}

/*
 * Acquires a lease for the link if it has none.  Raises 08003 if it has lost one that
 * cannot be replaced; 08001 and 2F003 where dblink does; what else pool_session_lease()
 * does.
 */
void
pool_link_run_open(PoolLink *link)
{
	MemoryContext context = CurrentMemoryContext;

	if (pool_link_run_is_broken(link))
		pool_link_run_throw(broken_error(link, NULL), true);
	if (link->lease != NULL)
		return;
	PG_TRY();
	{
		link->lease =
			pool_session_lease_as(link->role, link->server, link->string,
								  pool_link_is_listed(link) &&
									  pool_guc_dblink_mode ==
										  POOL_DBLINK_SESSION);
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (!pool_acquire_error_is_of_connecting(error))
			PG_RE_THROW();
		FlushErrorState();
		raise_not_connected(error);
	}
	PG_END_TRY();
}

/* Waits for the end of what was sent over the link, if anything, and forgets it. */
void
pool_link_run_discard(PoolLink *link)
{
	if (link->request == NULL)
		return;
	pool_link_refuse_if_being_read(link);
	pool_request_run_to_end(link->request);
	pool_link_forget_request(link);
	pool_link_run_settle(link);
}

/* How the remote session writes dates and intervals. */
void
pool_link_run_read_styles(const PoolLink *link, PoolLinkAnswer *answer)
{
	PGconn *pg = link->lease->copy->pg;
	const char *date_style = PQparameterStatus(pg, "DateStyle");
	const char *interval_style = PQparameterStatus(pg, "IntervalStyle");

	answer->date_style = date_style ? pstrdup(date_style) : NULL;
	answer->interval_style = interval_style ? pstrdup(interval_style) : NULL;
}

/* A statement over a connection of that name; see PoolLinkCall. */
PoolStatement *
pool_link_run_statement(const char *name, const char *sql, const char *doing)
{
	const char *no_value = NULL;
	PoolStatement *statement = pool_statement_from_texts(sql, 0, &no_value);

	statement->verbatim = true;
	statement->context = make_context(name, doing);
	return statement;
}

/*
 * Notes the error with which the statement's run has failed, which may not have begun,
 * and says in it where that was, if it does not say so itself.
 */
void
pool_link_run_note_error(PoolLink *link, const PoolStatement *statement,
						 const PoolRun *run, ErrorData *error)
{
	if (error->context == NULL)
		error->context = pstrdup(statement->context);
	pool_link_note_error(link, run->error != NULL && run->error->text != NULL
								   ? run->error->text
								   : error->message);
}

static void
raise_run(void *arg)
{
	const PoolLeaseRun *lease_run = arg;

	pool_run_error_raise(lease_run->lease, &lease_run->run);
}

/* The error that the run has failed with. */
static ErrorData *
error_of(PoolLink *link, PoolLeaseRun *lease_run)
{
	ErrorData *error = pool_raised(raise_run, lease_run);

	pool_link_run_note_error(link, lease_run->statement, &lease_run->run, error);
	return error;
}

/* Throws an error of the remote, as an error or a notice. */
void
pool_link_run_throw(ErrorData *error, bool fail)
{
	error->elevel = fail ? ERROR : NOTICE;
	if (fail)
		pool_run_error_keep_places(error);
	ThrowErrorData(error);
}

/* Is it the answer to an empty query? */
bool
pool_link_run_is_empty(const PoolSet *set)
{
	return pool_sets_columns(set) < 0 && pool_sets_tag(set)[0] == '\0';
}

/* What dblink says to that: it takes it for an error without a text. */
ErrorData *
pool_link_run_empty_error(const char *context)
{
	return make_error(ERRCODE_CONNECTION_FAILURE,
					  "could not obtain message string for remote error",
					  context);
}

/* Why nothing can be run over the call's link just now; NULL: something can. */
static ErrorData *
error_before(const PoolLinkCall *call)
{
	PoolLink *link = call->link;
	const char *context = make_context(call->name, call->doing);
	ErrorData *error = NULL;

	if (link->request != NULL)
		error = make_error(ERRCODE_CONNECTION_FAILURE,
						   "another command is already in progress", context);
	else if (pool_link_run_is_broken(link))
		error = broken_error(link, context);
	if (error != NULL)
		pool_link_note_error(link, error->message);
	return error;
}

/* What pool_link_run() does on a lease that is there. */
static ErrorData *
run_on_lease(const PoolLinkCall *call, PoolLinkAnswer *answer)
{
	PoolLink *link = call->link;
	PoolStatement *statement =
		pool_link_run_statement(call->name, call->sql, call->doing);
	PoolLeaseRun *lease_run = palloc(sizeof(PoolLeaseRun));
	PoolSets *sets;

	pool_link_note_error(link, NULL);
	answer->result = pool_result_create_sets(CurrentMemoryContext, link->server,
											 work_mem, false);
	pool_lease_run_quietly(lease_run, link->lease, statement, answer->result);
	if (pool_run_error_sqlstate(&lease_run->run) != 0)
		return error_of(link, lease_run);
	pool_link_run_read_styles(link, answer);
	sets = pool_result_sets(answer->result);
	answer->set = pool_sets_get(sets, pool_sets_count(sets) - 1);
	return pool_link_run_is_empty(answer->set)
			   ? pool_link_run_empty_error(statement->context)
			   : NULL;
}

/* The call's statement has ended, one way or another.  Raises nothing. */
static void
end_call(PoolLink *link)
{
	if (pool_link_is_listed(link))
		pool_link_run_settle(link);
	else
	{
		if (link->lease != NULL)
			link->lease->scope = POOL_LEASE_STATEMENT;
		pool_link_end(link);
	}
}

/*
 * Runs a statement over the call's link, and leaves its last answer in *answer.
 * Returns false if the remote has failed and call->fail is not set; a notice was shown
 * then.  A link that is not listed ends here in any case.
 *
 * Raises what pool_link_run_open() does, the remote's errors, and errors of this
 * session.
 */
bool
pool_link_run(const PoolLinkCall *call, PoolLinkAnswer *answer)
{
	PoolLink *link = call->link;
	ErrorData *volatile error;

	memset(answer, 0, sizeof(*answer));
	error = error_before(call);
	if (error != NULL)
	{
		pool_link_run_throw(error, call->fail);
		return false;
	}
	PG_TRY();
	{
		pool_link_run_open(link);
		error = run_on_lease(call, answer);
	}
	PG_CATCH();
	{
		end_call(link);
		PG_RE_THROW();
	}
	PG_END_TRY();
	end_call(link);
	if (error == NULL)
		return true;
	pool_result_destroy(answer->result);
	pool_link_run_throw(error, call->fail);
	return false;
}

/* Runs a command of the functions' own over the link.  Raises as above. */
void
pool_link_run_command(PoolLink *link, const char *name, const char *sql)
{
	PoolLinkCall call = {.link = link,
						 .name = name,
						 .sql = sql,
						 .doing = "while executing command",
						 .fail = true};
	PoolLinkAnswer answer;

	(void) pool_link_run(&call, &answer);
	pool_result_destroy(answer.result);
}
