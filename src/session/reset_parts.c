/*
 * reset_parts.c
 *		The reset of a handover, in the form that suits the connection.
 *
 * DISCARD ALL throws away what is prepared, and is parsed each time.  So where
 * that is the reset, its parts stand in for it, but for DEALLOCATE ALL and
 * DISCARD PLANS.  They are prepared, as is the proof's SELECT, in the batch of a
 * DISCARD ALL:
 *
 *		QUERY		the reset query; nothing is prepared after it
 *		PREPARING	DISCARD ALL, then the parts are prepared
 *		PARTS		the parts, by name
 *
 * The parts have a transaction of their own.  DISCARD ALL commits by itself, even
 * in a pipeline; the parts would be rolled back with the statement that follows
 * in the same Sync, and that would begin its transaction with the settings that
 * are about to be reset (default_transaction_read_only).  So does that of the parts
 * itself: were it serializable, a standby would refuse it, and one that is deferrable,
 * too, would wait.
 *
 * The parts cost the remote more than DISCARD ALL does: behind a statement that is
 * a text, 43 against 36 microseconds of processor time, and 24 where all goes by
 * name.  So they are there for statements that are prepared, and where there are
 * none, or the list is not known to hold, the reset is the query.
 */
#include "postgres.h"

#include "catalog/pg_type.h"

#include "options/options.h"
#include "session/reset_parts.h"
#include "session/statement_cache.h"

/* In the order in which DISCARD ALL does the same, with their command tags. */
static const struct
{
	const char *sql;
	const char *tag;
} parts[] = {{"BEGIN ISOLATION LEVEL READ COMMITTED", "BEGIN"},
			 {"CLOSE ALL", "CLOSE CURSOR ALL"},
			 {"SET SESSION AUTHORIZATION DEFAULT", "SET"},
			 {"RESET ALL", "RESET"},
			 {"UNLISTEN *", "UNLISTEN"},
			 {"SELECT pg_catalog.pg_advisory_unlock_all()", "SELECT 1"},
			 {"DISCARD TEMP", "DISCARD TEMP"},
			 {"DISCARD SEQUENCES", "DISCARD SEQUENCES"},
			 {"COMMIT", "COMMIT"}};

/* The proof's SELECT, with a literal for what it sets. */
#define PROOF_SELECT(value) \
	"SELECT pg_catalog.set_config('application_name', " value ", false)"

/* The names of the parts and, behind them, that of the SELECT. */
static PoolStatementName names[lengthof(parts) + 1];
static const PoolStatementName *const select_name = &names[lengthof(parts)];

static const char *const select_text = PROOF_SELECT("$1");

/* Computes the names, once. */
static void
make_names(void)
{
	static bool made = false;
	const Oid text = TEXTOID;

	if (made)
		return;
	for (int i = 0; i < (int) lengthof(parts); i++)
		pool_statement_cache_make_name(parts[i].sql, 0, NULL, &names[i]);
	pool_statement_cache_make_name(select_text, 1, &text,
								   &names[lengthof(parts)]);
	made = true;
}

/* Prepares the parts and the SELECT. */
static bool
send_parses(PGconn *pg)
{
	const Oid text = TEXTOID;

	for (int i = 0; i < (int) lengthof(parts); i++)
	{
		if (!PQsendPrepare(pg, names[i].text, parts[i].sql, 0, NULL))
			return false;
	}
	return PQsendPrepare(pg, select_name->text, select_text, 1, &text);
}

static bool
send_parts(PGconn *pg)
{
	for (int i = 0; i < (int) lengthof(parts); i++)
	{
		if (!PQsendQueryPrepared(pg, names[i].text, 0, NULL, NULL, NULL, 0))
			return false;
	}
	return true;
}

static PoolReset
choose(const PoolRun *run)
{
	if (run->reset_query[0] == '\0')
		return POOL_RESET_NONE;
	if (!run->caching || (run->how != POOL_HOW_PREPARE &&
						  !pool_prepared_is_worth_sparing(run->prepared)))
		return POOL_RESET_QUERY;
	return pool_prepared_has_parts(run->prepared) ? POOL_RESET_PARTS
												  : POOL_RESET_PREPARING;
}

/*
 * Sends the reset; run->reset tells in which form.  Returns how many answers it
 * has, or -1 if libpq refuses.  What is known to be prepared is forgotten where
 * the reset discards it; the caller notes the parts when they have been answered.
 */
int
pool_reset_parts_send(PoolRun *run)
{
	PGconn *pg = run->copy->pg;

	run->reset = choose(run);
	if (run->reset == POOL_RESET_NONE)
		return 0;
	if (run->reset != POOL_RESET_QUERY)
		make_names();
	if (run->reset == POOL_RESET_PARTS)
		return send_parts(pg) ? (int) lengthof(parts) : -1;

	pool_prepared_clear(run->prepared);
	if (!PQsendQueryParams(pg, run->reset_query, 0, NULL, NULL, NULL, NULL, 0))
		return -1;
	if (run->reset == POOL_RESET_QUERY)
		return 1;
	return send_parses(pg) ? 1 + (int) lengthof(names) : -1;
}

/* Sends the proof's SELECT, behind the reset.  The value needs no quoting. */
bool
pool_reset_parts_send_select(const PoolRun *run, const char *value)
{
	PGconn *pg = run->copy->pg;

	if (run->reset == POOL_RESET_PREPARING || run->reset == POOL_RESET_PARTS)
		return PQsendQueryPrepared(pg, select_name->text, 1, &value, NULL, NULL,
								   0);
	return PQsendQueryParams(pg, psprintf(PROOF_SELECT("'%s'"), value), 0, NULL,
							 NULL, NULL, NULL, 0);
}

/*
 * The command tag that an answer to the reset has to have, or NULL if any will do.
 * Between answers of which several look alike a stale one might be taken for the
 * next, and an error in it for this session's.
 */
const char *
pool_reset_parts_tag(const PoolRun *run, int answer)
{
	if (run->reset == POOL_RESET_PARTS)
		return parts[answer].tag;
	if (run->reset == POOL_RESET_PREPARING)
		return answer == 0 ? POOL_DEFAULT_RESET
						   : ""; /* of Parse there is none */
	return NULL;
}
