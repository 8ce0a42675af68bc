/*
 * string_options.c
 *		libpq's parameters from a connection string.
 *
 * What the string does not say is completed here as libpq would do it in the
 * session: from the environment of the server's processes, and from libpq's own
 * defaults.  The worker has no PG* variables (worker/config.c), so all of it goes
 * there.  What comes of that says what the pool connects to, and with which
 * secrets; so it is what identifies the pool (conn_string.c).
 *
 * A role that has to show a password gets nothing of the operating system's user
 * who runs the server: of the environment only where to connect and how to encrypt,
 * and none of the options in libpq_options.c that speak for that user.
 *
 * What is the pool's to decide is the same as for servers (conninfo.c), except that
 * the remote's settings are as the remote has them: "options" is passed on as given.
 */
#include "postgres.h"

#include <ctype.h>

#include "libpq-fe.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"

#include "options/libpq_options.h"
#include "options/libpq_values.h"
#include "options/option_table.h"
#include "options/string_options.h"

/* The longest connect_timeout, in seconds; more is as good as none. */
#define LONGEST_TIMEOUT (24 * 24 * 3600)

/* The string under way; both lists are libpq's, in the same order. */
typedef struct Reading
{
	PQconninfoOption *given;	/* what the string says */
	PQconninfoOption *defaults; /* what libpq takes where it says nothing */
	bool needs_password;
	bool service; /* a service file has the rest: no defaults are used */
} Reading;

/* The value of an option in one of libpq's lists; NULL: it has none. */
static const char *
find(const PQconninfoOption *list, const char *keyword)
{
	for (; list->keyword != NULL; list++)
	{
		if (strcmp(list->keyword, keyword) == 0)
			return list->val;
	}
	return NULL;
}

static bool
is_set(const char *value)
{
	return value != NULL && value[0] != '\0';
}

/* Wipes and frees one of libpq's lists. */
static void
free_list(PQconninfoOption *list)
{
	if (list == NULL)
		return;
	for (PQconninfoOption *option = list; option->keyword != NULL; option++)
	{
		if (option->val != NULL)
			explicit_bzero(option->val, strlen(option->val));
	}
	PQconninfoFree(list);
}

/*
 * Raises FEATURE_NOT_SUPPORTED for an option of the string that a pool cannot
 * have.  The value is not shown: it may be a secret.
 */
static void
refuse(const char *keyword, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("option \"%s\" is not supported in a connection string",
					keyword),
			 errdetail("%s", detail)));
}

/*
 * Raises for an option that the string has and must not have:
 * FEATURE_NOT_SUPPORTED, or INSUFFICIENT_PRIVILEGE for what speaks for the
 * operating system's user.
 */
static void
check_given(const PoolLibpqOption *option, const char *value,
			bool needs_password)
{
	static const char *const harmless[] = {"client_encoding",
										   "fallback_application_name"};

	if (needs_password && option->identity)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", option->name),
				 errdetail("Only a superuser can use a connection string with "
						   "this option.")));
	if (strcmp(option->name, "gssdelegation") == 0 && strcmp(value, "0") != 0)
		refuse(option->name,
			   "A pool's connections are opened by another process, "
			   "which has no credentials to delegate.");
	if (option->contexts != 0)
		return;
	for (size_t i = 0; i < lengthof(harmless); i++)
	{
		if (strcmp(option->name, harmless[i]) == 0)
			return;
	}
	refuse(option->name, "Connections of a pool are opened without it.");
}

/* Raises for a value that a pool cannot have, wherever it comes from. */
static void
check_value(const char *keyword, const char *value)
{
	if (strcmp(keyword, "gssencmode") == 0 && strcmp(value, "require") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("GSS-encrypted connections are not supported"),
				 errdetail("The option \"gssencmode\" is \"require\"."),
				 errhint("Set \"gssencmode\" to \"disable\" or \"prefer\", "
						 "and encrypt with \"sslmode\".")));
	if (strcmp(keyword, "min_protocol_version") == 0 ||
		strcmp(keyword, "max_protocol_version") == 0)
		pool_libpq_values_check(keyword, value);
	if ((strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0) &&
		pool_conninfo_count_items(value) > POOL_MAX_HOSTS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("connection string has too many hosts"),
				 errdetail("The option \"%s\" has %d hosts, and at most %d can be used.",
						   keyword, pool_conninfo_count_items(value),
						   POOL_MAX_HOSTS)));
}

/* May that default be used, which can be of the environment? */
static bool
may_default(const Reading *reading, const PoolLibpqOption *option)
{
	if (reading->service)
		return strcmp(option->name, "service") == 0;
	if (option->contexts == 0)
		return false;
	return !reading->needs_password ||
		   (option->contexts == POOL_ON_SERVER && !option->identity) ||
		   strcmp(option->name, "user") == 0;
}

/* What the pool decides, or has as a default of its own; NULL: nothing. */
static const char *
own_value(const Reading *reading, const char *keyword)
{
	if (strcmp(keyword, "fallback_application_name") == 0)
		return "pool";
	if (strcmp(keyword, "sslcert") == 0 && reading->needs_password)
		return POOL_NO_CERTIFICATE;
	return reading->service ? NULL : pool_conninfo_tcp_default(keyword);
}

/*
 * The value with which to connect; NULL or empty: libpq is not told.  Raises what
 * check_given() and check_value() do.
 */
static const char *
choose(const Reading *reading, int at)
{
	const char *keyword = reading->given[at].keyword;
	const PoolLibpqOption *option = pool_libpq_options_find(keyword);
	const char *value = reading->given[at].val;

	if (option == NULL) /* connect_timeout */
		return NULL;
	if (is_set(value))
		check_given(option, value, reading->needs_password);
	else if (value == NULL && may_default(reading, option))
		value = reading->defaults[at].val;
	if (is_set(value))
		check_value(keyword, value);

	if (strcmp(keyword, "client_encoding") == 0)
		return GetDatabaseEncodingName();
	if (strcmp(keyword, "gssencmode") == 0)
		return "disable";
	return is_set(value) ? value : own_value(reading, keyword);
}

/*
 * Raises FEATURE_NOT_SUPPORTED for a service without gssencmode, as conninfo.c does
 * for a server: the file could ask for what is not supported.
 */
static void
check_service(const Reading *reading)
{
	if (!reading->service || is_set(find(reading->given, "gssencmode")))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("connection string has the option \"service\" "
					"but not \"gssencmode\""),
			 errdetail("The service could ask for GSS encryption, "
					   "which is not supported."),
			 errhint("Add \"gssencmode=disable\" to the connection string.")));
}

/* Raises 2F003 if the string has no password, and must have one. */
static void
check_password(const Reading *reading)
{
	if (!reading->needs_password || is_set(find(reading->given, "password")))
		return;
	ereport(ERROR, (errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
					errmsg("password is required"),
					errdetail("Non-superusers must provide a password in the "
							  "connection string.")));
}

/* Raises 08001, as for all that libpq finds wrong before it connects. */
static void
raise_unusable(const char *message)
{
	ereport(ERROR, (errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					errmsg("could not establish connection"),
					errdetail_internal("%s", message)));
}

/*
 * connect_timeout in milliseconds, 0: no limit, -1: not given.  The pool keeps the
 * time itself.  Raises 08001 where libpq would.
 */
static int
connect_timeout(const Reading *reading)
{
	const char *value = find(reading->given, "connect_timeout");
	char *end;
	long seconds;

	if (value == NULL && !reading->service)
		value = find(reading->defaults, "connect_timeout");
	if (!is_set(value))
		return -1;
	errno = 0;
	seconds = strtol(value, &end, 10);
	while (isspace((unsigned char) *end))
		end++;
	if (end == value || *end != '\0' || errno != 0 || seconds != (int) seconds)
		raise_unusable(psprintf("invalid integer value \"%s\" for connection "
								"option \"connect_timeout\"",
								value));
	return (int) Min(Max(seconds, 0), LONGEST_TIMEOUT) * 1000;
}

/* The value that was chosen; "" if there is none. */
static const char *
chosen(const PoolConninfo *conninfo, const char *keyword)
{
	for (int i = 0; i < conninfo->count; i++)
	{
		if (strcmp(conninfo->keywords[i], keyword) == 0)
			return conninfo->values[i];
	}
	return "";
}

/*
 * Names the pool for views, messages and the log: user@host:port/database, as far
 * as that is known here.  A connection string in the place of the database's name,
 * where libpq takes it for a name, could have a password in it.
 */
static void
make_name(const PoolConninfo *conninfo, Name name)
{
	const char *user = chosen(conninfo, "user");
	const char *host = chosen(conninfo, "host");
	const char *port = chosen(conninfo, "port");
	const char *database = chosen(conninfo, "dbname");
	const char *service = chosen(conninfo, "service");
	char *text;

	if (!is_set(host))
		host = chosen(conninfo, "hostaddr");
	if (!is_set(host))
		host = is_set(service) ? psprintf("service=%s", service) : "[local]";
	if (!is_set(database))
		database = user;
	if (strchr(database, '=') != NULL || strstr(database, "://") != NULL)
		database = "?";
	text = psprintf("%s%s%s%s%s%s%s", user, is_set(user) ? "@" : "", host,
					is_set(port) ? ":" : "", port, is_set(database) ? "/" : "",
					database);
	memset(name, 0, sizeof(*name));
	memcpy(NameStr(*name), text,
		   pg_mbcliplen(text, (int) strlen(text), NAMEDATALEN - 1));
}

/* Makes the parameters; see pool_string_options_read(). */
static void
read_lists(Reading *reading, PoolStringOptions *options)
{
	PoolConninfo *conninfo = &options->conninfo;
	int n = 0;

	check_password(reading);
	reading->service =
		is_set(find(reading->given, "service")) ||
		(!reading->needs_password && !find(reading->given, "service") &&
		 is_set(find(reading->defaults, "service")));

	while (reading->given[n].keyword != NULL)
		n++;
	conninfo->keywords = palloc0(sizeof(char *) * (n + 1));
	conninfo->values = palloc0(sizeof(char *) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		const char *value = choose(reading, i);

		if (!is_set(value))
			continue;
		conninfo->keywords[conninfo->count] = pstrdup(reading->given[i].keyword);
		conninfo->values[conninfo->count] = pstrdup(value);
		conninfo->count++;
	}
	check_service(reading);
	options->connect_timeout = connect_timeout(reading);
	make_name(conninfo, &options->name);
}

/*
 * Reads a connection string, key words and values or a URI, in the current memory
 * context.  "needs_password": for a role that must not ride on the identity of the
 * operating system's user who runs the server.  The caller wipes the options, also
 * after an error.
 *
 * Raises SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION where libpq would fail before
 * it connects, S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED (no password),
 * INSUFFICIENT_PRIVILEGE and FEATURE_NOT_SUPPORTED for options,
 * PROGRAM_LIMIT_EXCEEDED (too many hosts), and FDW_OUT_OF_MEMORY.
 */
void
pool_string_options_read(const char *text, bool needs_password,
						 PoolStringOptions *options)
{
	Reading reading = {.needs_password = needs_password};
	char *problem = NULL;

	memset(options, 0, sizeof(*options));
	(void) pool_libpq_options_table(); /* raises here, not with lists at hand */
	reading.given = PQconninfoParse(text, &problem);
	if (problem != NULL)
	{
		char *message = pchomp(problem);

		PQfreemem(problem);
		raise_unusable(message);
	}
	reading.defaults = PQconndefaults();
	PG_TRY();
	{
		if (reading.given == NULL || reading.defaults == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_OUT_OF_MEMORY), errmsg("out of memory"),
					 errdetail("Could not read the connection string.")));
		read_lists(&reading, options);
	}
	PG_FINALLY();
	{
		free_list(reading.given);
		free_list(reading.defaults);
	}
	PG_END_TRY();
}

/* Wipes the values, of which one is the password.  Raises nothing. */
void
pool_string_options_wipe(PoolStringOptions *options)
{
	for (int i = 0; i < options->conninfo.count; i++)
		explicit_bzero(unconstify(char *, options->conninfo.values[i]),
					   strlen(options->conninfo.values[i]));
}
