/*
 * command_tag.c
 *		What a command leaves behind in the remote session, by its tag.
 *
 * What a function in the command leaves behind, no tag tells: the reset of the
 * next handover is for that.
 */
#include "postgres.h"

#include "session/command_tag.h"

/*
 * Command tags that leave nothing behind in the remote session, if no function
 * in them does.  What follows any other is a reset.
 */
static const char *const stateless_tags[] = {"SELECT",	"INSERT", "UPDATE",
											 "DELETE",	"MERGE",  "SHOW",
											 "EXPLAIN", "FETCH"};

/* Those that leave something behind, but change no setting and no name. */
static const char *const transaction_tags[] = {"BEGIN",		"START TRANSACTION",
											   "COMMIT",	"ROLLBACK",
											   "SAVEPOINT", "RELEASE"};

/*
 * Those that leave nothing in the remote session on which its user could count, but
 * what a function in them has done; the rest, SET say, or CREATE TABLE, which may be
 * of a temporary one, may.
 */
static const char *const forgotten_tags[] = {"ALTER",
											 "ANALYZE",
											 "CALL",
											 "CHECKPOINT",
											 "CLOSE CURSOR",
											 "CLOSE CURSOR ALL",
											 "CLUSTER TABLE",
											 "COMMENT",
											 "CREATE INDEX",
											 "CREATE ROLE",
											 "CREATE SCHEMA",
											 "DEALLOCATE",
											 "DO",
											 "DROP",
											 "GRANT",
											 "LOCK TABLE",
											 "MOVE",
											 "NOTIFY",
											 "PREPARE TRANSACTION",
											 "REFRESH MATERIALIZED VIEW",
											 "REINDEX",
											 "RESET",
											 "REVOKE",
											 "SET CONSTRAINTS",
											 "TRUNCATE TABLE",
											 "UNLISTEN",
											 "VACUUM"};

/* Is the command one of those? */
static bool
has_tag(const char *tag, const char *const *tags, int ntags)
{
	for (int i = 0; i < ntags; i++)
	{
		size_t len = strlen(tags[i]);

		if (strncmp(tag, tags[i], len) == 0 &&
			(tag[len] == '\0' || tag[len] == ' '))
			return true;
	}
	return false;
}

/* What the command does with the state that its user has set up. */
static PoolHolds
holds_of(const char *tag)
{
	if (strcmp(tag, "DISCARD ALL") == 0)
		return POOL_HOLDS_NONE;
	return has_tag(tag, forgotten_tags, lengthof(forgotten_tags))
			   ? POOL_HOLDS_AS_BEFORE
			   : POOL_HOLDS_STATE;
}

/*
 * Notes whether the command that this result ends may have left something behind,
 * and changed what statements mean.
 */
void
pool_command_tag_note(PoolRun *run, const PGresult *res)
{
	const char *tag = PQcmdStatus(unconstify(PGresult *, res));
	bool rowless_select = PQresultStatus(res) == PGRES_COMMAND_OK &&
						  strncmp(tag, "SELECT", 6) == 0;

	/* SELECT INTO and CREATE TABLE AS have the tag of SELECT. */
	if (tag[0] == '\0' || (!rowless_select && has_tag(tag, stateless_tags,
													  lengthof(stateless_tags))))
		return;
	run->left_state = true;
	if (has_tag(tag, transaction_tags, lengthof(transaction_tags)))
		return;
	run->unsettles = true;
	if (holds_of(tag) != POOL_HOLDS_AS_BEFORE)
		run->holds = holds_of(tag);
}
