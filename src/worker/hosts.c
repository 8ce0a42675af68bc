/*
 * hosts.c
 *		The hosts that a pool's options name, and their addresses.
 *
 * libpq is given addresses, so that it does not have to look up names, which
 * would hold up the whole worker.  Names are looked up in threads (lookup.c)
 * each time connections are opened.  Everything here is memory of the worker
 * alone.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "utils/memutils.h"

#include "base/clock.h"
#include "worker/hosts.h"

/* Connections that are opened within this time share a look-up. */
#define FRESH_US (1 * POOL_CLOCK_US_PER_S)

/* The value of an option; "" if it is not given.  The last of several counts. */
static const char *
value_of(const PoolConninfo *conninfo, const char *keyword)
{
	for (int i = conninfo->count - 1; i >= 0; i--)
	{
		if (strcmp(conninfo->keywords[i], keyword) == 0)
			return conninfo->values[i];
	}
	return "";
}

/*
 * The nth item of a list with commas, from 0; the last one if there are not so
 * many.
 */
static char *
item_of(const char *list, int n)
{
	const char *end;

	for (; n > 0 && strchr(list, ',') != NULL; n--)
		list = strchr(list, ',') + 1;
	end = strchr(list, ',');
	return end ? pnstrdup(list, end - list) : pstrdup(list);
}

/* An address as libpq prints it; NULL if it is not an address but a name. */
static char *
numeric_form(const char *text)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
								   .ai_socktype = SOCK_STREAM,
								   .ai_flags = AI_NUMERICHOST};
	struct addrinfo *found = NULL;
	char printed[NI_MAXHOST];
	char *result = NULL;

	if (getaddrinfo(text, NULL, &hints, &found) == 0 &&
		getnameinfo(found->ai_addr, found->ai_addrlen, printed, sizeof(printed),
					NULL, 0, NI_NUMERICHOST) == 0)
		result = pstrdup(printed);
	if (found != NULL)
		freeaddrinfo(found);
	return result;
}

/* Fills in the rest of an entry, and whether its name has to be looked up. */
static void
fill_in(PoolHosts *hosts, int at)
{
	PoolHost *host = &hosts->list[at];
	char *numeric;

	host->same_as = -1;
	if (host->port[0] == '\0')
		host->port = DEF_PGPORT_STR;
	if (host->hostaddr[0] != '\0')
	{
		numeric = numeric_form(host->hostaddr);
		if (numeric != NULL)
			host->hostaddr = numeric;
		return;
	}

	/* The default, or the directory of a socket. */
	if (host->host[0] == '\0' || host->host[0] == '/' || host->host[0] == '@')
		return;
	host->is_name = numeric_form(host->host) == NULL;
	for (int i = at - 1; i >= 0 && host->is_name; i--)
	{
		if (hosts->list[i].is_name &&
			strcmp(hosts->list[i].host, host->host) == 0)
			host->same_as = i;
	}
}

/*
 * Returns the hosts that a pool's options name.  "before" are those that the
 * pool had, or NULL: they are returned again, with their look-ups under way, if
 * the options name the same ones.  The caller frees the result, and "before" if
 * that is not the result.
 */
PoolHosts *
pool_hosts_make(const PoolConninfo *conninfo, PoolHosts *before)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pool hosts",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	const char *host = value_of(conninfo, "host");
	const char *hostaddr = value_of(conninfo, "hostaddr");
	const char *port = value_of(conninfo, "port");
	const char *service = value_of(conninfo, "service");
	char *origin = psprintf("%s\n%s\n%s\n%s", host, hostaddr, port, service);
	int n = Max(pool_conninfo_count_items(host),
				pool_conninfo_count_items(hostaddr));
	PoolHosts *hosts;

	if (before != NULL && strcmp(before->origin, origin) == 0)
	{
		MemoryContextSwitchTo(old);
		MemoryContextDelete(context);
		return before;
	}

	/*
	 * Lists of different lengths are for libpq to complain about, and what a
	 * service file says is for libpq to read.
	 */
	if ((host[0] && pool_conninfo_count_items(host) != n) ||
		(hostaddr[0] && pool_conninfo_count_items(hostaddr) != n) ||
		(pool_conninfo_count_items(port) > 1 &&
		 pool_conninfo_count_items(port) != n) ||
		service[0])
		n = 0;
	hosts = palloc0(offsetof(PoolHosts, list) + n * sizeof(PoolHost));
	hosts->context = context;
	hosts->origin = origin;
	hosts->count = n;
	hosts->fresh_until = PG_INT64_MAX;
	for (int i = 0; i < n; i++)
	{
		PoolHost *entry = &hosts->list[i];

		entry->host = item_of(host, i);
		entry->hostaddr = item_of(hostaddr, i);
		entry->port = item_of(port, i);
		fill_in(hosts, i);
		if (entry->is_name)
			hosts->fresh_until = 0;
	}
	MemoryContextSwitchTo(old);
	return hosts;
}

/* Keeps the addresses that were found; NULL: none. */
static void
set_addresses(PoolHosts *hosts, PoolHost *host, const struct addrinfo *found)
{
	MemoryContext old = MemoryContextSwitchTo(hosts->context);

	list_free_deep(host->addresses);
	host->addresses = NIL;
	for (; found != NULL; found = found->ai_next)
	{
		char text[NI_MAXHOST];

		if (getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof(text),
						NULL, 0, NI_NUMERICHOST) == 0)
			host->addresses = lappend(host->addresses, pstrdup(text));
	}
	MemoryContextSwitchTo(old);
}

/*
 * Begins to look up a name, or notes the result.  Returns whether the look-up is
 * under way.
 */
static bool
look_up_host(PoolHosts *hosts, PoolHost *host)
{
	if (host->lookup == NULL && !host->known)
	{
		host->lookup =
			pool_lookup_begin(host->host, host->problem, sizeof(host->problem));
		if (host->lookup == NULL)
			set_addresses(hosts, host, NULL);
		host->known = host->lookup == NULL;
	}
	if (host->lookup != NULL && pool_lookup_is_done(host->lookup))
	{
		set_addresses(hosts, host,
					  pool_lookup_result(host->lookup, host->problem,
										 sizeof(host->problem)));
		pool_lookup_end(host->lookup);
		host->lookup = NULL;
		host->known = true;
	}
	return host->lookup != NULL;
}

/*
 * Looks up the names among the hosts.  Returns whether the answers are there;
 * if not, it is to be called again.
 */
bool
pool_hosts_look_up(PoolHosts *hosts)
{
	bool under_way = false;
	bool found_all = true;

	if (pool_clock_us() < hosts->fresh_until)
		return true;
	for (int i = 0; i < hosts->count; i++)
	{
		PoolHost *host = &hosts->list[i];

		if (!host->is_name || host->same_as >= 0)
			continue;
		if (look_up_host(hosts, host))
			under_way = true;
		found_all = found_all && host->addresses != NIL;
	}
	if (under_way)
		return false;
	for (int i = 0; i < hosts->count; i++)
		hosts->list[i].known = false; /* in the next look-up */
	if (found_all)
		hosts->fresh_until = pool_clock_us() + FRESH_US;
	return true;
}

/* Frees the hosts, and gives up their look-ups under way. */
void
pool_hosts_free(PoolHosts *hosts)
{
	for (int i = 0; i < hosts->count; i++)
	{
		if (hosts->list[i].lookup != NULL)
			pool_lookup_end(hosts->list[i].lookup);
	}
	MemoryContextDelete(hosts->context);
}
