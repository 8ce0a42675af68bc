/*
 * by_name.c
 *		Statements that go to the remote by the name under which it has them
 *		prepared.
 *
 * Data flow: statement_cache.c counts how often a statement has succeeded;
 * shared/prepared.c knows what a connection has prepared.  Here the two meet: a
 * statement goes
 *
 *		PLAIN		as a text, as ever
 *		BY_NAME		by its name, since the connection has it prepared
 *		PREPARE		the same, but is prepared first, in the same batch; what was
 *					not used for the longest time is deallocated if need be
 *
 * What keeps a prepared statement from meaning anything else than its text:
 *
 *	1. A statement is prepared only in a batch that begins with the reset, so no
 *	   setting of another statement is in it, and only if no literal in it depends
 *	   on when it is parsed (statement/literals.c).
 *	2. The list holds for consecutive leases by one local role.
 *	3. While a batch with a PREPARE is under way the list is in doubt: an error, a
 *	   cancel or the session's end leaves it empty, and DISCARD ALL comes next.
 *	   So does any command that leaves state behind, transactions excepted.
 *	4. What the remote no longer has (26000), cannot execute as it was prepared
 *	   (0A000), or has another statement in the place of (42P05), is run again as a
 *	   text, once, where that error certainly came before anything was executed, and
 *	   outside a transaction block.
 *
 * If statements are gone time and again (a pooler in between gives each
 * transaction another session) the pool does without, until it has new options.
 */
#include "postgres.h"

#include "base/fault.h"
#include "session/by_name.h"
#include "session/proof.h"
#include "session/statement_cache.h"

/* How often statements may be gone, before the pool does without. */
#define MAX_LOST 3

/*
 * After so many statements in a row that were new to this session and that no other
 * one had prepared, the name of a new one is not computed any more: where texts
 * never come again it would cost more than all else here.
 */
#define MAX_VAIN 16

static int vain = 0;

/* Is anything prepared in that pool? */
bool
pool_by_name_is_enabled(const PoolOptions *options, const Pool *pool)
{
	return options->statement_cache > 0 &&
		   strcmp(options->reset_query, POOL_DEFAULT_RESET) == 0 &&
		   pg_atomic_read_u32(unconstify(pg_atomic_uint32 *,
										 &pool->statements_lost)) < MAX_LOST;
}

/*
 * May the statement be prepared in this run?  The batch has to begin with the
 * reset; at the begin of a lease there may be one for this alone, in the middle it
 * would undo what the lease has done.
 */
static bool
may_prepare(const PoolLease *lease, const PoolRun *run)
{
	return lease->prepared.known && (run->prove || !lease->touched) &&
		   pool_proof_may_lead(run);
}

/*
 * Decides how the statement goes.  One that is described before it is executed
 * goes as a text: what it saves by that is more.  run->prove and run->validate say
 * whether there is a reset; if the statement is prepared there is.
 *
 * A statement that leads, but not in one transaction with the proof, is sent behind a
 * Sync, without waiting for that.  So it is executed though a part of the reset is
 * gone; its reset is the query.
 */
void
pool_by_name_choose(PoolLease *lease, PoolRun *run)
{
	const PoolOptions *options = &lease->target.options;
	bool plain = pool_proof_is_plain(run->statement->sql);
	PoolCachedStatement *cached = NULL;
	bool is_new;

	run->how = POOL_HOW_PLAIN;
	run->prepared = &lease->prepared;
	run->max_prepared = options->statement_cache;
	run->caching = pool_by_name_is_enabled(options, lease->request.pool) &&
				   (plain || !pool_proof_may_lead(run));
	if (run->caching && plain && !run->statement->only_describe &&
		!pool_statement_is_several(run->statement))
		cached =
			pool_statement_cache_get(lease->request.pool_id, run->statement);
	run->cached = cached;
	run->removals = pool_statement_cache_removals();
	if (cached == NULL || run->describe ||
		(!pool_prepared_has_parts(run->prepared) &&
		 !pool_statement_cache_is_ripe(cached)))
		return;
	is_new = pool_statement_cache_is_new(cached);
	if (is_new && vain >= MAX_VAIN)
		return;

	run->name = *pool_statement_cache_name(cached);
	if (pool_prepared_use(run->prepared, &run->name.hash))
	{
		run->how = POOL_HOW_BY_NAME;
		vain = 0;
	}
	else if (is_new)
		vain++;
	else if (pool_statement_cache_is_ripe(cached) && may_prepare(lease, run))
	{
		run->how = POOL_HOW_PREPARE;
		run->prove = true;
	}
}

/* Makes room for one more statement. */
static bool
send_evictions(PoolRun *run)
{
	while (run->prepared->list.count >= run->max_prepared)
	{
		PoolStatementName name = {.hash = pool_prepared_evict(run->prepared)};
		char *sql;

		pool_statement_cache_spell(&name);
		sql = psprintf("DEALLOCATE %s", name.text);
		if (!PQsendQueryParams(run->copy->pg, sql, 0, NULL, NULL, NULL, NULL, 0))
			return false;
		run->evictions++;
	}
	return true;
}

/*
 * Gives a statement that is not PLAIN to libpq.  Returns false if that refuses.
 */
bool
pool_by_name_send(PoolRun *run)
{
	const PoolStatement *stmt = run->statement;
	PGconn *pg = run->copy->pg;

	if (run->how == POOL_HOW_PREPARE)
	{
		run->prepared->doubt = true;
		if (!send_evictions(run) || !PQsendPrepare(pg, run->name.text, stmt->sql,
												   stmt->nparams, stmt->types))
			return false;
		run->preparations += run->evictions + 1;
	}
	return PQsendQueryPrepared(pg, run->name.text, stmt->nparams, stmt->values,
							   stmt->lengths, stmt->formats, 0);
}

static bool
is_field(const PGresult *res, int field, const char *value)
{
	const char *found = PQresultErrorField(res, field);

	return found != NULL && strcmp(found, value) == 0;
}

/*
 * Does that error say that the statement, as it is prepared, is gone or out of
 * date, or that another one has its name, so that nothing of it was executed?  A
 * statement within a function fails with the same SQLSTATEs, but then there is a
 * context, and what the function did before was done.
 */
bool
pool_by_name_is_stale(const PoolRun *run, const PGresult *res)
{
	const char *message = PQresultErrorField(res, PG_DIAG_MESSAGE_PRIMARY);

	if (run->how == POOL_HOW_PLAIN || run->answered || message == NULL ||
		pool_result_rows(run->result) > 0 ||
		PQresultErrorField(res, PG_DIAG_CONTEXT) != NULL)
		return false;
	if (is_field(res, PG_DIAG_SQLSTATE, "26000"))
		return is_field(res, PG_DIAG_SOURCE_FUNCTION, "FetchPreparedStatement") &&
			   strstr(message, "pool_") != NULL;
	if (is_field(res, PG_DIAG_SQLSTATE, "42P05"))
		return is_field(res, PG_DIAG_SOURCE_FUNCTION, "StorePreparedStatement") &&
			   strstr(message, run->name.text) != NULL;
	return is_field(res, PG_DIAG_SQLSTATE, "0A000") &&
		   is_field(res, PG_DIAG_SOURCE_FUNCTION, "RevalidateCachedQuery");
}

/*
 * What was prepared on the connection is not there any more, and nobody knows
 * why.  The pool does without after a few times.
 */
void
pool_by_name_note_lost(const PoolLease *lease)
{
	Pool *pool = lease->request.pool;

	pool_stats_add(&pool->stats, POOL_COUNT_STATEMENT_INVALIDATIONS, 1);
	if (pg_atomic_add_fetch_u32(&pool->statements_lost, 1) == MAX_LOST)
		ereport(LOG,
				(errmsg("pool for server \"%s\" prepares no more statements",
						NameStr(lease->target.server_name)),
				 errdetail("Prepared statements were gone on the remote %d times.",
						   MAX_LOST),
				 errhint("If there is a connection pooler in between, set "
						 "\"statement_cache\" to 0.")));
}

/* Nothing is known to be prepared for what is left of this lease, nor prepared. */
void
pool_by_name_do_without(PoolLease *lease)
{
	pool_prepared_clear(&lease->prepared);
	lease->prepared.known = false;
}

/*
 * Is the statement to be run again, since what the remote had prepared was gone
 * or out of date?  Then it goes as a text, so there is no third time.
 */
bool
pool_by_name_goes_again(PoolLease *lease, const PoolRun *run)
{
	if (run->outcome != POOL_RUN_FAILED || !run->stale)
		return false;
	pool_by_name_do_without(lease);
	if (run->error->sqlstate != ERRCODE_FEATURE_NOT_SUPPORTED)
		pool_by_name_note_lost(lease);
	else
		pool_stats_add(&lease->request.pool->stats,
					   POOL_COUNT_STATEMENT_INVALIDATIONS, 1);
	POOL_FAULT_POINT(statement_stale);
	return PQtransactionStatus(run->copy->pg) == PQTRANS_IDLE;
}

/*
 * Notes what a run that came back has done to what is prepared, and to the
 * session's table.  Raises nothing.
 */
void
pool_by_name_settle(PoolLease *lease, const PoolRun *run)
{
	PoolStats *stats = &lease->request.pool->stats;

	if (run->outcome == POOL_RUN_DONE && run->how == POOL_HOW_PREPARE)
	{
		pool_prepared_add(&lease->prepared, &run->name.hash);
		lease->prepared.doubt = false;
		pool_stats_add(stats, POOL_COUNT_STATEMENT_PARSES, 1);
		pool_stats_add(stats, POOL_COUNT_STATEMENT_EVICTIONS, run->evictions);
	}
	if (run->outcome == POOL_RUN_DONE && run->how == POOL_HOW_BY_NAME)
		pool_stats_add(stats, POOL_COUNT_STATEMENT_HITS, 1);
	if (run->unsettles)
		pool_prepared_clear(&lease->prepared);

	/* Reading the rows may have run other statements, in a function of a domain. */
	if (run->cached != NULL && run->removals == pool_statement_cache_removals())
		pool_statement_cache_note(run->cached, run->outcome == POOL_RUN_DONE);
}
