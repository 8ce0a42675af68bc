/*
 * conninfo.c
 *		libpq's parameters for a new connection.
 *
 * Needed only when a connection is to be opened, so the catalogs are read
 * again: they alone have the password.  What goes to libpq is what the tables
 * of options allow, whoever wrote the rows, and what the pool decides.
 */
#include "postgres.h"

#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/syscache.h"

#include "options/catalog.h"
#include "options/conninfo.h"
#include "options/libpq_options.h"
#include "options/option_table.h"

/* So that values mean the same on both sides, whatever each has as default. */
#define SESSION_OPTIONS \
	"-c datestyle=ISO -c intervalstyle=postgres -c extra_float_digits=3"

/* For statement_plan, so that a reset sets it back to this. */
#define CUSTOM_PLANS " -c plan_cache_mode=force_custom_plan"

/*
 * So that a peer that is gone is noticed within a minute, whether the connection
 * is quiet (three probes, ten seconds apart, after half a minute) or there is
 * something to send.  Without them the kernel takes two hours, or a quarter of
 * an hour.  libpq heeds them on TCP only.
 */
static const struct
{
	const char *keyword;
	const char *value;
} tcp_defaults[] = {
	{"keepalives_idle", "30"},
	{"keepalives_interval", "10"},
	{"keepalives_count", "3"},
	{"tcp_user_timeout", "60000"}, /* milliseconds */
};

/* The pool's default for one of libpq's options, or NULL. */
const char *
pool_conninfo_tcp_default(const char *keyword)
{
	for (size_t i = 0; i < lengthof(tcp_defaults); i++)
	{
		if (strcmp(tcp_defaults[i].keyword, keyword) == 0)
			return tcp_defaults[i].value;
	}
	return NULL;
}

/* What pool_conninfo_build() itself adds at most: one at each call there. */
#define MAX_OWN_PARAMETERS (6 + lengthof(tcp_defaults))

/*
 * Raises FEATURE_NOT_SUPPORTED where libpq would be asked for GSS encryption:
 * connecting without it would be a surprise.  A service file is for libpq alone
 * to read, so a server with one has to have the option gssencmode.
 */
static void
refuse_gss_encryption(const PoolTarget *target, List *on_server, bool service)
{
	const char *mode = pool_catalog_value(on_server, "gssencmode");

	if (!mode && service)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("server \"%s\" has the option \"service\" "
						"but not \"gssencmode\"",
						NameStr(target->server_name)),
				 errdetail(
					 "The service could ask for GSS encryption, which is not supported."),
				 errhint("Set \"gssencmode\" to \"disable\" on the server.")));

	if (!mode || strcmp(mode, "require") != 0)
		return;

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("GSS-encrypted connections are not supported"),
			 errdetail("The option \"gssencmode\" of server \"%s\" is \"%s\".",
					   NameStr(target->server_name), mode),
			 errhint("Set \"gssencmode\" to \"disable\" or \"prefer\", "
					 "and encrypt with \"sslmode\".")));
}

/* The number of items in a list with commas; an empty list has none. */
int
pool_conninfo_count_items(const char *list)
{
	int n = 1;

	if (list[0] == '\0')
		return 0;
	for (; *list; list++)
		n += *list == ',';
	return n;
}

/*
 * Raises PROGRAM_LIMIT_EXCEEDED for a server with too many hosts: they are
 * tried one after the other, and their names looked up all at once.
 */
static void
refuse_many_hosts(const PoolTarget *target, List *on_server)
{
	static const char *const lists[] = {"host", "hostaddr"};

	for (size_t i = 0; i < lengthof(lists); i++)
	{
		const char *list = pool_catalog_value(on_server, lists[i]);

		if (list != NULL && pool_conninfo_count_items(list) > POOL_MAX_HOSTS)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("server \"%s\" has too many hosts",
							NameStr(target->server_name)),
					 errdetail("The option \"%s\" has %d hosts, and at most %d can be used.",
							   lists[i], pool_conninfo_count_items(list),
							   POOL_MAX_HOSTS)));
	}
}

/* Adds a parameter, its value copied so that the caller can wipe it. */
static void
add_parameter(PoolConninfo *conninfo, const char *keyword, const char *value)
{
	conninfo->keywords[conninfo->count] = keyword;
	conninfo->values[conninfo->count] = pstrdup(value);
	conninfo->count++;
}

/*
 * Adds the options of one object, except for those that the pool decides.
 * "identity": also those that speak for the operating system's user who runs
 * the server.
 */
static void
add_options(PoolConninfo *conninfo, List *options, int context, bool identity)
{
	static const char *const decided[] = {"user", "options", "gssencmode"};
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);
		const PoolLibpqOption *option = pool_libpq_options_find(def->defname);
		bool skip;

		skip = !option || !(option->contexts & context) ||
			   (option->identity && !identity);
		for (size_t i = 0; i < lengthof(decided); i++)
			skip = skip || strcmp(def->defname, decided[i]) == 0;
		if (!skip)
			add_parameter(conninfo, option->name, defGetString(def));
	}
}

/*
 * The user on the remote.  Without one libpq would take the operating system's user
 * who runs the server; the role of the user mapping is meant instead.  Raises
 * FDW_OPTION_NAME_NOT_FOUND if the mapping is FOR PUBLIC.
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
 * password: the caller wipes them.  A dbname that looks like a connection
 * string is to be taken as a name.
 *
 * The rows can be newer than the target's stamp; then the next resolve has
 * the newer stamp, and what was opened now is replaced.
 *
 * Raises UNDEFINED_OBJECT, FEATURE_NOT_SUPPORTED (GSS encryption),
 * PROGRAM_LIMIT_EXCEEDED (too many hosts),
 * S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED (no password) and
 * FDW_OPTION_NAME_NOT_FOUND (no user).
 */
void
pool_conninfo_build(const PoolTarget *target, PoolConninfo *conninfo)
{
	const char *server_name = NameStr(target->server_name);
	bool needs_password = target->key.needs_password;
	HeapTuple row;
	bool guarded; /* only superusers write certificates */
	List *on_server;
	List *on_mapping;
	const char *options;
	bool service;
	int room;

	row = SearchSysCache1(FOREIGNSERVEROID, target->key.server);
	pool_catalog_check_server(row, server_name);
	on_server = pool_catalog_server_options(row);
	guarded =
		pool_catalog_check_wrapper(((Form_pg_foreign_server) GETSTRUCT(row))->srvfdw,
								   server_name);
	ReleaseSysCache(row);

	row = SearchSysCache1(USERMAPPINGOID, target->key.mapping);
	pool_catalog_check_mapping(row, server_name);
	on_mapping = pool_catalog_mapping_options(row);
	ReleaseSysCache(row);

	options = pool_catalog_value(on_server, "options");
	service = !needs_password && pool_catalog_value(on_server, "service");
	pool_catalog_check_password(target, on_mapping);
	refuse_gss_encryption(target, on_server, service);
	refuse_many_hosts(target, on_server);

	room = list_length(on_server) + list_length(on_mapping) +
		   MAX_OWN_PARAMETERS + 1; /* the terminator */
	conninfo->keywords = palloc0(sizeof(char *) * room);
	conninfo->values = palloc0(sizeof(char *) * room);
	conninfo->count = 0;

	/* First, so that what the server and the mapping say has precedence. */
	for (size_t i = 0; i < lengthof(tcp_defaults) && !service; i++)
		add_parameter(conninfo, tcp_defaults[i].keyword, tcp_defaults[i].value);
	if (needs_password)
		add_parameter(conninfo, "sslcert", POOL_NO_CERTIFICATE);
	add_options(conninfo, on_server, POOL_ON_SERVER, !needs_password);
	add_options(conninfo, on_mapping, POOL_ON_MAPPING,
				!needs_password || guarded);

	/* A service may know the user; an own name would take precedence. */
	if (!service || pool_catalog_value(on_mapping, "user"))
		add_parameter(conninfo, "user", remote_user(target, on_mapping));
	add_parameter(conninfo, "client_encoding", GetDatabaseEncodingName());
	add_parameter(conninfo, "options",
				  psprintf("%s%s" SESSION_OPTIONS "%s", options ? options : "",
						   options ? " " : "",
						   target->options.statement_plan == POOL_PLAN_CUSTOM
							   ? CUSTOM_PLANS
							   : ""));
	add_parameter(conninfo, "fallback_application_name", "pool");

	add_parameter(conninfo, "gssencmode", "disable");
	Assert(conninfo->count < room);
}
