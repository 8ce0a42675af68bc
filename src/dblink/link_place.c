/*
 * link_place.c
 *		Where a link leads to.
 *
 * As with dblink the argument is the name of a foreign server, if there is one of that
 * name, and otherwise a connection string.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "parser/scansup.h"

#include "dblink/link_place.h"
#include "options/target.h"

/* The option that says whether the user's own SCRAM keys are passed on, or NULL. */
static DefElem *
scram_option(List *options)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);

		if (strcmp(def->defname, "use_scram_passthrough") == 0)
			return def;
	}
	return NULL;
}

/*
 * The rules for who may connect to a server: those of pool, and that of dblink, which
 * wants a password in the mapping of whoever is no superuser, whatever the mapping
 * says.  SCRAM keys cannot be passed on, since a pooled connection is everybody's.
 * Raises 2F003 or 0A000.
 */
static void
check_server(const ForeignServer *server)
{
	UserMapping *mapping = GetUserMapping(GetUserId(), server->serverid);
	DefElem *scram = scram_option(mapping->options);
	PoolTarget target;

	if (scram == NULL)
		scram = scram_option(server->options);
	pool_target_resolve(server->servername, &target);
	if (!target.key.needs_password && !superuser())
		ereport(ERROR,
				(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
				 errmsg("password is required"),
				 errdetail("Non-superusers must provide a password in the "
						   "connection string.")));
	if (scram != NULL && defGetBoolean(scram))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg(
					 "SCRAM pass-through cannot be used with pooled connections"),
				 errhint("Set use_scram_passthrough to false, and the option "
						 "\"password\" on the user mapping.")));
}

/*
 * Finds out where the link leads to, and whether the current role may go there.
 * Raises what pool_target_resolve() or pool_conn_string_make() does, and 2F003 or
 * 0A000 as above.
 */
void
pool_link_place_find(PoolLink *link, const char *place)
{
	char *name = pstrdup(place);
	ForeignServer *server;
	PoolTarget target;

	truncate_identifier(name, (int) strlen(name), false);
	server = GetForeignServerByName(name, true);
	if (server != NULL)
	{
		check_server(server);
		link->server = MemoryContextStrdup(link->context, server->servername);
		return;
	}
	link->string = pool_conn_string_make(link->context, place);
	pool_conn_string_target(link->string, &target);
	link->server =
		MemoryContextStrdup(link->context, NameStr(target.server_name));
}
