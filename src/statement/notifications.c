/*
 * notifications.c
 *		Notifications of the remote that a session keeps until it asks for them.
 *
 * libpq puts those that have come on a list of its own, from which they are taken
 * whenever a statement ends.  Mostly nobody wants them, and they are freed; a
 * connection that its session keeps for itself, as dblink's are, has a list for them.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/memutils.h"

#include "statement/notifications.h"

/* A copy of the text; bytes that are not text here become question marks. */
static char *
copy_text(const char *text)
{
	char *copy = pstrdup(text);

	if (!pg_verifymbstr(copy, (int) strlen(copy), true))
	{
		for (char *c = copy; *c; c++)
			if (IS_HIGHBIT_SET(*c))
				*c = '?';
	}
	return copy;
}

/* Keeps what libpq has; without a list it is freed. */
void
pool_notifications_take(PoolNotifications *notifications, PGconn *conn)
{
	PGnotify *notify;

	while ((notify = PQnotifies(conn)) != NULL)
	{
		if (notifications != NULL)
		{
			MemoryContext old_context = MemoryContextSwitchTo(TopMemoryContext);
			PoolNotification *kept = palloc(sizeof(PoolNotification));

			kept->remote_pid = notify->be_pid;
			kept->channel = copy_text(notify->relname);
			kept->payload = copy_text(notify->extra);
			notifications->list = lappend(notifications->list, kept);
			MemoryContextSwitchTo(old_context);
		}
		PQfreemem(notify);
	}
}

/* Frees all that is kept, of which there may be millions.  Raises nothing. */
void
pool_notifications_clear(PoolNotifications *notifications)
{
	ListCell *cell;

	foreach (cell, notifications->list)
	{
		PoolNotification *kept = lfirst(cell);

		pfree(kept->channel);
		pfree(kept->payload);
		pfree(kept);
	}
	list_free(notifications->list);
	notifications->list = NIL;
}
