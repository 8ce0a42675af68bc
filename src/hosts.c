/*
 * hosts.c
 *		The hosts of a pool, and the addresses that an attempt to connect tries.
 *
 * libpq is given addresses, so that it does not have to look up names, which
 * would hold up the whole worker.  PoolHosts is the list of hosts of a pool as
 * its options have it; names are looked up beside the loop (lookup.c) each time
 * connections are opened.  PoolAddresses is what came of it, for one attempt.
 * libpq goes through them, with all that it knows about a list of hosts
 * (target_session_attrs and so on).
 *
 * One that does not answer within connect_timeout is taken out of the list, and
 * libpq begins again with the others: it has no way to be told to go on.
 *
 * All here is memory of the worker alone.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "compat.h"
#include "hosts.h"
#include "lookup.h"

/* Connections that are opened within this time share a look-up. */
#define FRESH_US INT64CONST(1000000)

/* An entry of the list; each may be empty. */
typedef struct Host
{
	char *host;
	char *hostaddr;
	char *port;

	/* Of a name: */
	bool is_name;
	PoolLookup *lookup; /* under way */
	bool known;			/* the two below are of this round of look-ups */
	List *addresses;	/* of char * */
	const char *problem;
} Host;

struct PoolHosts
{
	MemoryContext context;
	int64 fresh_until; /* no need to look up before then, pool_clock_us() */
	int count;		   /* 0: libpq knows by itself, or finds a mistake */
	Host list[FLEXIBLE_ARRAY_MEMBER];
};

typedef struct Address
{
	char *host;
	char *hostaddr;
	char *port;
	bool silent; /* it did not answer in time */
} Address;

struct PoolAddresses
{
	MemoryContext context;
	int count; /* 0: as the options have them */
	Address list[FLEXIBLE_ARRAY_MEMBER];
};

/* The value that counts of several is the last one; "" if there is none. */
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

static int
count_items(const char *list)
{
	int n = 1;

	if (list[0] == '\0')
		return 0;
	for (; *list; list++)
		n += *list == ',';
	return n;
}

/* The nth item of a list; of a list of one, or none, that one for any n. */
static char *
item_of(const char *list, int n)
{
	const char *end;

	for (; n > 0 && strchr(list, ',') != NULL; n--)
		list = strchr(list, ',') + 1;
	end = strchr(list, ',');
	return end ? pnstrdup(list, end - list) : pstrdup(list);
}

/* Would libpq have to look it up? */
static bool
is_name(const Host *host)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
								   .ai_socktype = SOCK_STREAM,
								   .ai_flags = AI_NUMERICHOST};
	struct addrinfo *found = NULL;
	bool numeric;

	/* Nothing, an address given as such, or the directory of a socket. */
	if (!host->host[0] || host->hostaddr[0] || host->host[0] == '/' ||
		host->host[0] == '@')
		return false;
	numeric = getaddrinfo(host->host, NULL, &hints, &found) == 0;
	if (found != NULL)
		freeaddrinfo(found);
	return !numeric;
}

/*
 * The hosts that a pool's options name.  The caller frees them.
 */
PoolHosts *
pool_hosts_make(const PoolConninfo *conninfo)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "pool hosts",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	const char *host = value_of(conninfo, "host");
	const char *hostaddr = value_of(conninfo, "hostaddr");
	const char *port = value_of(conninfo, "port");
	int n = Max(count_items(host), count_items(hostaddr));
	PoolHosts *hosts;

	if ((host[0] && count_items(host) != n) ||
		(hostaddr[0] && count_items(hostaddr) != n) ||
		(count_items(port) > 1 && count_items(port) != n))
		n = 0;
	hosts = palloc0(offsetof(PoolHosts, list) + n * sizeof(Host));
	hosts->context = context;
	hosts->count = n;
	hosts->fresh_until = PG_INT64_MAX;
	for (int i = 0; i < n; i++)
	{
		Host *entry = &hosts->list[i];

		entry->host = item_of(host, i);
		entry->hostaddr = item_of(hostaddr, i);
		entry->port = item_of(port, i);
		entry->is_name = is_name(entry);
		if (entry->is_name)
			hosts->fresh_until = 0;
	}
	MemoryContextSwitchTo(old);
	return hosts;
}

static void
set_addresses(PoolHosts *hosts, Host *host, const struct addrinfo *found)
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

/* Begins to look up a name, or notes the result.  Is it under way? */
static bool
look_up_host(PoolHosts *hosts, Host *host)
{
	if (host->lookup == NULL && !host->known)
	{
		host->lookup = pool_lookup_begin(host->host);
		host->problem = "no thread could be started";
		host->known = host->lookup == NULL;
	}
	if (host->lookup != NULL && pool_lookup_is_done(host->lookup))
	{
		set_addresses(hosts, host,
					  pool_lookup_result(host->lookup, &host->problem));
		pool_lookup_end(host->lookup);
		host->lookup = NULL;
		host->known = true;
	}
	return host->lookup != NULL;
}

/*
 * Looks up the names among the hosts.  Returns whether all of them are known
 * now; if not, it is to be called again.
 */
bool
pool_hosts_look_up(PoolHosts *hosts)
{
	bool under_way = false;

	if (pool_clock_us() < hosts->fresh_until)
		return true;
	for (int i = 0; i < hosts->count; i++)
	{
		if (hosts->list[i].is_name && look_up_host(hosts, &hosts->list[i]))
			under_way = true;
	}
	if (under_way)
		return false;
	for (int i = 0; i < hosts->count; i++)
		hosts->list[i].known = false; /* by the next round */
	hosts->fresh_until = pool_clock_us() + FRESH_US;
	return true;
}

/* The pool's options are others now. */
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

/* The place of an address in the list, -1 if it is not there. */
static int
find_address(const PoolAddresses *addresses, const char *host,
			 const char *hostaddr, const char *port)
{
	for (int i = 0; i < addresses->count; i++)
	{
		const Address *address = &addresses->list[i];

		if (!address->silent &&
			(!address->host[0] || strcmp(address->host, host) == 0) &&
			(!address->hostaddr[0] || strcmp(address->hostaddr, hostaddr) == 0) &&
			(!address->port[0] || strcmp(address->port, port) == 0))
			return i;
	}
	return -1;
}

static void
add_address(PoolAddresses *addresses, const Host *host, const char *hostaddr)
{
	Address *address = &addresses->list[addresses->count];

	if (find_address(addresses, host->host, hostaddr, host->port) >= 0)
		return;
	address->host = pstrdup(host->host);
	address->hostaddr = pstrdup(hostaddr);
	address->port = pstrdup(host->port);
	addresses->count++;
}

/*
 * The addresses of the hosts as far as they are known: names that are still
 * being looked up are left out.  The caller frees them.  NULL with the reason
 * in *problem, which is in the current memory context, if there are none.
 */
PoolAddresses *
pool_addresses_make(PoolHosts *hosts, const char **problem)
{
	MemoryContext context =
		AllocSetContextCreate(TopMemoryContext, "pool addresses",
							  ALLOCSET_SMALL_SIZES);
	MemoryContext old = CurrentMemoryContext;
	PoolAddresses *addresses;
	int room = 0;

	*problem = NULL;
	for (int i = 0; i < hosts->count; i++)
		room += Max(list_length(hosts->list[i].addresses), 1);
	addresses = MemoryContextAllocZero(context, offsetof(PoolAddresses, list) +
													room * sizeof(Address));
	addresses->context = context;
	for (int i = 0; i < hosts->count; i++)
	{
		Host *host = &hosts->list[i];
		ListCell *cell;

		if (host->is_name && (host->lookup || host->addresses == NIL))
		{
			*problem =
				psprintf("could not translate host name \"%s\" to address: %s",
						 host->host,
						 host->lookup ? "timeout expired" : host->problem);
			continue;
		}
		MemoryContextSwitchTo(context);
		if (!host->is_name)
			add_address(addresses, host, host->hostaddr);
		foreach (cell, host->addresses)
			add_address(addresses, host, lfirst(cell));
		MemoryContextSwitchTo(old);

		/* While another one is not known, it is looked up for each attempt. */
		host->known = false;
	}
	if (addresses->count > 0 || hosts->count == 0)
		return addresses;
	pool_addresses_free(addresses);
	return NULL;
}

/* Appends one to a list with commas. */
static void
append_item(StringInfo list, int n, const char *item)
{
	if (n > 0)
		appendStringInfoChar(list, ',');
	appendStringInfoString(list, item);
}

/*
 * Has libpq begin to connect, with these parameters, to those of the addresses
 * that were not silent.
 */
PGconn *
pool_addresses_connect(const PoolAddresses *addresses,
					   const PoolConninfo *conninfo)
{
	static const char *const lists[] = {"host", "hostaddr", "port"};
	StringInfoData values[lengthof(lists)];
	PoolConninfo to = {.count = 0};
	int n = 0;

	to.keywords = palloc0(sizeof(char *) * (conninfo->count + 4));
	to.values = palloc0(sizeof(char *) * (conninfo->count + 4));
	for (int i = 0; i < conninfo->count; i++)
	{
		to.keywords[to.count] = conninfo->keywords[i];
		to.values[to.count++] = conninfo->values[i];
	}
	for (size_t i = 0; i < lengthof(lists); i++)
		initStringInfo(&values[i]);
	for (int i = 0; i < addresses->count; i++)
	{
		const Address *address = &addresses->list[i];

		if (address->silent)
			continue;
		append_item(&values[0], n, address->host);
		append_item(&values[1], n, address->hostaddr);
		append_item(&values[2], n, address->port);
		n++;
	}

	/* Of several values the last one counts. */
	for (size_t i = 0; i < lengthof(lists) && n > 0; i++)
	{
		to.keywords[to.count] = lists[i];
		to.values[to.count++] = values[i].data;
	}
	return PQconnectStartParams(to.keywords, to.values, 0);
}

/* Which of the addresses libpq is trying now; -1 if that cannot be told. */
int
pool_addresses_current(const PoolAddresses *addresses, const PGconn *pg)
{
	return find_address(addresses, PQhost(pg), PQhostaddr(pg), PQport(pg));
}

/*
 * That one does not answer: it is left out from now on.  Returns whether
 * another one is left.
 */
bool
pool_addresses_skip(PoolAddresses *addresses, int current)
{
	if (current < 0)
		return false;
	addresses->list[current].silent = true;
	for (int i = 0; i < addresses->count; i++)
	{
		if (!addresses->list[i].silent)
			return true;
	}
	return false;
}

void
pool_addresses_free(PoolAddresses *addresses)
{
	MemoryContextDelete(addresses->context);
}
