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
	if (!has_tag(tag, transaction_tags, lengthof(transaction_tags)))
		run->unsettles = true;
	run->left_state = true;
}
