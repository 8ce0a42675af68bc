/*
 * conninfo.c
 *		libpq's parameters for a new connection.
 *
 * Needed only when a connection is to be opened, so the catalogs are read
 * again: they alone have the password.  What goes to libpq is what the tables
 * of options allow, whoever wrote the rows, and what the pool decides.
 */
#include "postgres.h"

#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/syscache.h"

#include "catalog.h"
#include "option_table.h"

/* So that values mean the same on both sides, whatever each has as default. */
#define SESSION_OPTIONS \
	"-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3"

/*
 * Stops where libpq would be asked to encrypt, instead of connecting without.
 * Where the server says nothing it is libpq's default; a service file is for
 * libpq alone to read, so with one the server has to say it.
 */
static void
refuse_encryption(const PoolTarget *target, List *on_server, const char *name,
				  bool service)
{
	const PoolLibpqOption *option = pool_libpq_find(name);
	const char *mode = pool_catalog_value(on_server, name);

	if (!mode && service)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("server \"%s\" has the option \"service\" and not \"%s\"",
						NameStr(target->server_name), name),
				 errdetail(
					 "The service could ask for encryption, which is not supported."),
				 errhint("Set \"%s\" to \"disable\" on the server.", name)));

	if (!mode && option)
		mode = option->fallback;
	if (!mode || !pool_libpq_wants_encryption(name, mode))
		return;

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 strcmp(name, "sslmode") == 0
				 ? errmsg("TLS connections are not supported yet")
				 : errmsg("GSS-encrypted connections are not supported"),
			 errdetail("The %s for server \"%s\" is \"%s\".", name,
					   NameStr(target->server_name), mode),
			 strcmp(name, "sslmode") == 0
				 ? errhint(
					   "Set sslmode to \"disable\", \"allow\" or \"prefer\" to connect without TLS.")
				 : errhint(
					   "Set gssencmode to \"disable\" or \"prefer\" to connect without GSS encryption.")));
}

/* Keeps a copy of the value, which the caller of all this can wipe. */
static void
add_parameter(PoolConninfo *conninfo, const char *keyword, const char *value)
{
	conninfo->keywords[conninfo->count] = keyword;
	conninfo->values[conninfo->count] = pstrdup(value);
	conninfo->count++;
}

/* Adds what one object says, except for what is decided elsewhere. */
static void
add_options(PoolConninfo *conninfo, List *options, int context,
			bool needs_password)
{
	static const char *const elsewhere[] = {"user", "options", "sslmode",
											"gssencmode"};
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);
		const PoolLibpqOption *option = pool_libpq_find(def->defname);
		bool skip;

		skip = !option || !(option->contexts & context) ||
			   (option->identity && needs_password);
		for (size_t i = 0; i < lengthof(elsewhere); i++)
			skip = skip || strcmp(def->defname, elsewhere[i]) == 0;
		if (!skip)
			add_parameter(conninfo, option->name, defGetString(def));
	}
}

/*
 * The remote user.  Without one libpq would take the operating system's user
 * who runs the server; the local role that owns the mapping is meant instead.
 */
static const char *
remote_user(const PoolTarget *target, List *on_mapping)
{
	const char *user = pool_catalog_value(on_mapping, "user");

	if (user)
		return user;
	if (!OidIsValid(target->mapping_user))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("user mapping for public, server \"%s\", needs the option \"user\"",
						NameStr(target->server_name)),
				 errdetail(
					 "Only the user mapping of a role has a name to use instead."),
				 errhint("Use ALTER USER MAPPING to add it.")));
	return GetUserNameFromId(target->mapping_user, false);
}

/*
 * Makes libpq's parameters in the current memory context.  They contain the
 * password: the caller wipes them.  dbname is not to be expanded.
 *
 * The rows can be newer than the target's stamp; then the next resolve has
 * the newer stamp, and what was opened now is replaced.
 *
 * Raises UNDEFINED_OBJECT, FEATURE_NOT_SUPPORTED (encryption),
 * S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED (no password) and
 * FDW_OPTION_NAME_NOT_FOUND (no user).
 */
void
pool_options_conninfo(const PoolTarget *target, PoolConninfo *conninfo)
{
	const char *server_name = NameStr(target->server_name);
	bool needs_password = target->key.needs_password;
	HeapTuple row;
	List *on_server;
	List *on_mapping;
	const char *options;
	bool service;
	int room;

	row = SearchSysCache1(FOREIGNSERVEROID, target->key.server);
	pool_catalog_check_server(row, server_name);
	on_server = pool_catalog_server_options(row);
	ReleaseSysCache(row);

	row = SearchSysCache1(USERMAPPINGOID, target->key.mapping);
	pool_catalog_check_mapping(row, server_name);
	on_mapping = pool_catalog_mapping_options(row);
	ReleaseSysCache(row);

	options = pool_catalog_value(on_server, "options");
	service = !needs_password && pool_catalog_value(on_server, "service");
	pool_catalog_check_password(target, on_mapping);
	refuse_encryption(target, on_server, "sslmode", service);
	refuse_encryption(target, on_server, "gssencmode", service);

	/* Six of our own, and the terminator. */
	room = list_length(on_server) + list_length(on_mapping) + 7;
	conninfo->keywords = palloc0(sizeof(char *) * room);
	conninfo->values = palloc0(sizeof(char *) * room);
	conninfo->count = 0;

	add_options(conninfo, on_server, POOL_ON_SERVER, needs_password);
	add_options(conninfo, on_mapping, POOL_ON_MAPPING, needs_password);

	/* A service may know the user; an own name would take precedence. */
	if (!service || pool_catalog_value(on_mapping, "user"))
		add_parameter(conninfo, "user", remote_user(target, on_mapping));
	add_parameter(conninfo, "client_encoding", GetDatabaseEncodingName());
	add_parameter(conninfo, "options",
				  options ? psprintf("%s %s", options, SESSION_OPTIONS)
						  : SESSION_OPTIONS);
	add_parameter(conninfo, "fallback_application_name", "pool");
	add_parameter(conninfo, "sslmode", "disable");
	add_parameter(conninfo, "gssencmode", "disable");
	Assert(conninfo->count < room);
}
