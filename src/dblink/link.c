/*
 * link.c
 *		The session's connections by name, as dblink has them.
 *
 * A link is a name, where it leads to, and mostly a lease of scope SESSION, which the
 * link alone ends: session.c knows it only at the session's exit, when links go with
 * their memory.  A link that is not listed is that of a single call.
 *
 * As with dblink any role of the session may use a link, once it is there.  What may
 * be connected to is decided when it is made, with the rights of that moment, and all
 * leases of the link are acquired with the role that made it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/scansup.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "dblink/link.h"
#include "dblink/link_place.h"
#include "session/requests.h"
#include "session/session.h"

static dlist_head links = DLIST_STATIC_INIT(links);

/* The name as identifiers are: cut off where it is too long; "warn": with a notice. */
static void
truncate_name(const char *name, bool warn, NameData *truncated)
{
	char *copy = pstrdup(name);

	truncate_identifier(copy, (int) strlen(copy), warn);
	namestrcpy(truncated, copy);
	pfree(copy);
}

/* The link of that name, or the unnamed one if it is NULL; NULL if there is none. */
PoolLink *
pool_link_find(const char *name)
{
	NameData truncated = {0};
	dlist_iter iter;

	if (name != NULL)
		truncate_name(name, false, &truncated);
	dlist_foreach (iter, &links)
	{
		PoolLink *link = dlist_container(PoolLink, node, iter.cur);

		if (link->named == (name != NULL) &&
			strcmp(NameStr(link->name), NameStr(truncated)) == 0)
			return link;
	}
	return NULL;
}

/* The same.  Raises 08003 if there is none. */
PoolLink *
pool_link_get(const char *name)
{
	PoolLink *link = pool_link_find(name);

	if (link == NULL && name != NULL)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_DOES_NOT_EXIST),
						errmsg("connection \"%s\" not available", name)));
	if (link == NULL)
		ereport(ERROR, (errcode(ERRCODE_CONNECTION_DOES_NOT_EXIST),
						errmsg("connection not available")));
	return link;
}

/*
 * Makes a link to the foreign server of that name or by that connection string, with
 * the rights of the current role; it is not listed, and has no connection yet.  Raises
 * what pool_link_place_find() does.
 */
PoolLink *
pool_link_make(const char *place)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "pool link",
							  ALLOCSET_SMALL_SIZES);
	PoolLink *link = MemoryContextAllocZero(context, sizeof(PoolLink));

	link->context = context;
	link->role = GetUserId();
	pool_link_place_find(link, place);
	return link;
}

/*
 * Raises 42710 if a link of that name, which is not NULL, is there already.  A notice
 * says if the name is cut off.
 */
void
pool_link_check_name(const char *name)
{
	NameData truncated;

	truncate_name(name, true, &truncated);
	if (pool_link_find(name) != NULL)
		ereport(ERROR, (errcode(ERRCODE_DUPLICATE_OBJECT),
						errmsg("duplicate connection name")));
}

/* Lists a link, which is not in the list, under that name; NULL: as the unnamed one. */
void
pool_link_list(PoolLink *link, const char *name)
{
	link->named = name != NULL;
	if (link->named)
		truncate_name(name, false, &link->name);
	MemoryContextSetParent(link->context, TopMemoryContext);
	dlist_push_head(&links, &link->node);
}

/* Is it one of the session's, rather than that of a single call? */
bool
pool_link_is_listed(const PoolLink *link)
{
	return link->node.next != NULL;
}

/* The names, as text[]; 0 if there are none. */
Datum
pool_link_names(void)
{
	ArrayBuildState *names = NULL;
	dlist_iter iter;

	dlist_foreach (iter, &links)
	{
		PoolLink *link = dlist_container(PoolLink, node, iter.cur);

		if (link->named)
			names = accumArrayResult(names,
									 CStringGetTextDatum(NameStr(link->name)),
									 false, TEXTOID, CurrentMemoryContext);
	}
	return names ? makeArrayResult(names, CurrentMemoryContext) : (Datum) 0;
}

/* Notes what the last statement has failed with; NULL: it has not. */
void
pool_link_note_error(PoolLink *link, const char *error)
{
	char *old = link->error;

	link->error =
		error != NULL ? MemoryContextStrdup(link->context, error) : NULL;
	if (old != NULL)
		pfree(old);
}

/* Raises 55006 while rows of what was sent over the link are being read. */
void
pool_link_refuse_if_being_read(const PoolLink *link)
{
	if (link->reading > 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_IN_USE),
						errmsg("a result of the connection is being read")));
}

/* Forgets what was sent, and ends it if it is under way.  Raises nothing. */
void
pool_link_forget_request(PoolLink *link)
{
	if (link->request != NULL)
		pool_request_free(link->request);
	link->request = NULL;
	link->read = 0;
}

/* Ends the lease, if there is one.  Raises nothing. */
void
pool_link_end_lease(PoolLink *link)
{
	pool_link_forget_request(link);
	if (link->lease != NULL)
		pool_session_end_lease(link->lease, POOL_CLOSE_NONE);
	link->lease = NULL;
	link->held = false;
	link->own_transaction = false;
	link->cursors = 0;
}

/*
 * Ends the link, whether it is listed or not.  pool_link_refuse_if_being_read() has
 * been called.  Raises nothing.
 */
void
pool_link_end(PoolLink *link)
{
	pool_link_end_lease(link);
	if (pool_link_is_listed(link))
		dlist_delete(&link->node);
	if (link->string != NULL)
		pool_conn_string_free(link->string);
	MemoryContextDelete(link->context);
}
