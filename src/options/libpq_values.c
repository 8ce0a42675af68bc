/*
 * libpq_values.c
 *		Values of libpq's options that libpq would refuse.
 *
 * They are noticed when they are written, and not when a connection is made.  What
 * libpq could take is left to it: of a list, one item that is right is enough, and
 * numbers for TCP are wrong only where all hosts are reached by TCP.  An empty value
 * is as none.
 *
 * A server with a wrong value may be in the catalogs, from before that was looked at.
 * Nobody could connect to it; but pg_upgrade is not to fail over it.
 */
#include "postgres.h"

#include <ctype.h>
#include <netdb.h>
#include <sys/socket.h>

#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "miscadmin.h"

#include "options/catalog.h"
#include "options/conninfo.h"
#include "options/libpq_values.h"

/* The newest libpq of which all words are known; a newer one may have more. */
#define KNOWN_LIBPQ 18

/* Options whose value is one of some words. */
static const struct
{
	const char *name;
	bool own;  /* what the pool can do, whatever libpq has */
	bool fold; /* in upper or lower case */
	const char *words[7];
} word_options[] = {
	{"sslmode",
	 false,
	 false,
	 {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}},
	{"gssencmode", false, false, {"disable", "prefer", "require"}},

	/* Not "latest": sessions must know the protocol, too. */
	{"min_protocol_version", true, false, {"3.0", "3.2"}},
	{"max_protocol_version", true, false, {"3.0", "3.2"}},
	{"channel_binding", false, false, {"disable", "prefer", "require"}},
	{"target_session_attrs",
	 false,
	 false,
	 {"any", "read-write", "read-only", "primary", "standby", "prefer-standby"}},
	{"ssl_min_protocol_version",
	 false,
	 true,
	 {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}},
	{"ssl_max_protocol_version",
	 false,
	 true,
	 {"TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"}},
	{"sslcertmode", false, false, {"disable", "allow", "require"}},
	{"sslnegotiation", false, false, {"postgres", "direct"}},
	{"load_balance_hosts", false, false, {"disable", "random"}},
};

/* Options whose value is a number, of which libpq knows on TCP only. */
static const struct
{
	const char *name;
	const char *unit;
	bool keepalive; /* not read if keepalives is 0 */
} number_options[] = {
	{"keepalives", "", false},
	{"keepalives_idle", " of seconds", true},
	{"keepalives_interval", " of seconds", true},
	{"keepalives_count", "", true},
	{"tcp_user_timeout", " of milliseconds", false},
};

/* Reads an integer as libpq does, white space at both ends. */
static bool
read_int(const char *text, int *number)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	*number = (int) value;
	if (end == text || errno != 0 || value != *number)
		return false;
	while (isspace((unsigned char) *end))
		end++;
	return *end == '\0';
}

/* The next item of a list with commas, in memory of its own; NULL: no more. */
static char *
next_item(const char **list)
{
	const char *end;
	char *item;

	if (*list == NULL)
		return NULL;
	end = strchr(*list, ',');
	item = end ? pnstrdup(*list, end - *list) : pstrdup(*list);
	*list = end ? end + 1 : NULL;
	return item;
}

static bool
is_port(const char *item)
{
	int number;

	return item[0] == '\0' || /* the default */
		   (read_int(item, &number) && number >= 1 && number <= 65535);
}

static bool
is_address(const char *item)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
								   .ai_socktype = SOCK_STREAM,
								   .ai_flags = AI_NUMERICHOST};
	struct addrinfo *found = NULL;
	bool is_one;

	is_one = item[0] == '\0' || /* the host's name is looked up */
			 getaddrinfo(item, NULL, &hints, &found) == 0;
	if (found != NULL)
		freeaddrinfo(found);
	return is_one;
}

/* Is that a host which libpq reaches by TCP? */
static bool
is_tcp_host(const char *item)
{
	return item[0] != '\0' && item[0] != '/' && item[0] != '@';
}

/* Counts the items of which that is so. */
static int
count_items(const char *list, bool (*is_so)(const char *))
{
	char *item;
	int n = 0;

	while ((item = next_item(&list)) != NULL)
		n += is_so(item) ? 1 : 0;
	return n;
}

/* Raises FDW_INVALID_ATTRIBUTE_VALUE. */
static void
refuse(const char *name, const char *value, const char *detail)
{
	if (IsBinaryUpgrade)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
			 errmsg("invalid value for option \"%s\": \"%s\"", name, value),
			 errdetail_internal("It must be %s.", detail)));
}

/* Checks the value of the ith of word_options. */
static void
check_word(int i, const char *value)
{
	const char *const *words = word_options[i].words;
	StringInfoData list;

	if (!word_options[i].own && PQlibVersion() / 10000 > KNOWN_LIBPQ)
		return;
	initStringInfo(&list);
	for (int n = 0; words[n] != NULL; n++)
	{
		if (word_options[i].fold ? pg_strcasecmp(words[n], value) == 0
								 : strcmp(words[n], value) == 0)
			return;
		appendStringInfo(&list, "%s\"%s\"",
						 n == 0					? ""
						 : words[n + 1] == NULL ? " or "
												: ", ",
						 words[n]);
	}
	refuse(word_options[i].name, value, list.data);
}

/*
 * Raises FDW_INVALID_ATTRIBUTE_VALUE for a value that libpq refuses whatever the other
 * options are.
 */
void
pool_libpq_values_check(const char *name, const char *value)
{
	if (value[0] == '\0')
		return;
	for (int i = 0; i < (int) lengthof(word_options); i++)
	{
		if (strcmp(name, word_options[i].name) == 0)
			check_word(i, value);
	}
	if (strcmp(name, "port") == 0 && count_items(value, is_port) == 0)
		refuse(name, value, "a number from 1 to 65535, or a list of such");
	if (strcmp(name, "hostaddr") == 0 && count_items(value, is_address) == 0)
		refuse(name, value, "a numeric address, or a list of such");
}

/* Checks the numbers of which libpq knows on TCP. */
static void
check_numbers(List *options)
{
	const char *on = pool_catalog_value(options, "keepalives");
	int number;
	bool off = on != NULL && read_int(on, &number) && number == 0;

	for (size_t i = 0; i < lengthof(number_options); i++)
	{
		const char *name = number_options[i].name;
		const char *value = pool_catalog_value(options, name);

		if (value == NULL || (off && number_options[i].keepalive) ||
			read_int(value, &number))
			continue;
		refuse(name, value,
			   psprintf("a plain number%s", number_options[i].unit));
	}
}

/*
 * Raises INVALID_PARAMETER_VALUE if a list has another number of items than there are
 * hosts.
 */
static void
check_count(List *options, const char *name, const char *hosts_name,
			bool one_will_do)
{
	const char *list = pool_catalog_value(options, name);
	const char *hosts = pool_catalog_value(options, hosts_name);
	int n;

	if (list == NULL || hosts == NULL)
		return;
	n = pool_conninfo_count_items(list);
	if (n == pool_conninfo_count_items(hosts) || (n == 1 && one_will_do) ||
		IsBinaryUpgrade)
		return;
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("options \"%s\" and \"%s\" do not fit together",
						   name, hosts_name),
					errdetail("\"%s\" has %d items, and \"%s\" has %d.", name,
							  n, hosts_name, pool_conninfo_count_items(hosts))));
}

/*
 * Checks the values of a server that libpq refuses with others that it has.  Raises
 * FDW_INVALID_ATTRIBUTE_VALUE and INVALID_PARAMETER_VALUE.
 */
void
pool_libpq_values_check_together(List *options)
{
	const char *host = pool_catalog_value(options, "host");
	const char *hostaddr = pool_catalog_value(options, "hostaddr");
	const char *hosts = hostaddr != NULL ? hostaddr : host;

	/* A service can say what the options do not, hosts for instance. */
	if (hosts == NULL || pool_catalog_value(options, "service") != NULL)
		return;
	check_count(options, "hostaddr", "host", false);
	check_count(options, "port", hostaddr != NULL ? "hostaddr" : "host", true);
	if (count_items(hosts, is_tcp_host) == pool_conninfo_count_items(hosts))
		check_numbers(options);
}
