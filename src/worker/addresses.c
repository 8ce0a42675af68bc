/*
 * addresses.c
 *		The addresses that an attempt to connect tries.
 *
 * They are what the look-ups in hosts.c have found, for one attempt.  libpq goes
 * through them, with all that it knows about a list of hosts
 * (target_session_attrs and so on).  One that does not answer within
 * connect_timeout, or says too much, is left out, and libpq begins again with the
 * others: it has no way to be told to go on.
 */
#include "postgres.h"

#include <netdb.h>
#include <sys/socket.h>

#include "lib/stringinfo.h"
#include "utils/memutils.h"

#include "worker/addresses.h"

typedef struct Address
{
	char *host;
	char *hostaddr;
	char *port;
	bool skipped; /* it will not do */
} Address;

struct PoolAddresses
{
	MemoryContext context;
	int count; /* 0: libpq reads them from the options */
	Address list[FLEXIBLE_ARRAY_MEMBER];
};

/* Adds an address, unless it is there: libpq would try it twice. */
static void
add_address(PoolAddresses *addresses, const PoolHost *host, const char *hostaddr)
{
	Address *address = &addresses->list[addresses->count];

	for (int i = 0; i < addresses->count; i++)
	{
		if (strcmp(addresses->list[i].host, host->host) == 0 &&
			strcmp(addresses->list[i].hostaddr, hostaddr) == 0 &&
			strcmp(addresses->list[i].port, host->port) == 0)
			return;
	}
	address->host = pstrdup(host->host);
	address->hostaddr = pstrdup(hostaddr);
	address->port = pstrdup(host->port);
	addresses->count++;
}

/* Adds all addresses of a host.  Returns NULL, or why its name has none. */
static const char *
add_host(PoolAddresses *addresses, const PoolHosts *hosts, const PoolHost *host)
{
	const PoolHost *asked =
		host->same_as >= 0 ? &hosts->list[host->same_as] : host;
	ListCell *cell;

	if (!host->is_name)
		add_address(addresses, host, host->hostaddr);
	else if (asked->lookup != NULL)
		return "timeout expired";
	else if (asked->addresses == NIL)
		return asked->problem;
	else
	{
		foreach (cell, asked->addresses)
		{
			add_address(addresses, host, lfirst(cell));
		}
	}
	return NULL;
}

/*
 * Returns the addresses of the hosts as far as they are known: names that are
 * still being looked up, or are unknown, are left out.  *problem tells about the
 * last of those, in the current memory context; NULL if there are none.  The
 * caller frees the result, which is NULL if nothing is left.
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
	{
		const PoolHost *host = &hosts->list[i];

		if (host->same_as >= 0)
			host = &hosts->list[host->same_as];
		room += Max(list_length(host->addresses), 1);
	}
	addresses = MemoryContextAllocZero(context, offsetof(PoolAddresses, list) +
													room * sizeof(Address));
	addresses->context = context;
	for (int i = 0; i < hosts->count; i++)
	{
		PoolHost *host = &hosts->list[i];
		const char *missing;

		MemoryContextSwitchTo(context);
		missing = add_host(addresses, hosts, host);
		MemoryContextSwitchTo(old);
		if (missing != NULL)
			*problem =
				psprintf("could not translate host name \"%s\" to address: %s",
						 host->host, missing);

		/* While one look-up hangs, the others are repeated for each attempt. */
		host->known = false;
	}
	if (addresses->count > 0 || hosts->count == 0)
		return addresses;
	pool_addresses_free(addresses);
	return NULL;
}

/* Appends an item, the nth from 0, to a list with commas. */
static void
append_item(StringInfo list, int n, const char *item)
{
	if (n > 0)
		appendStringInfoChar(list, ',');
	appendStringInfoString(list, item);
}

/* Do the addresses take the place of this option? */
static bool
names_host(const char *keyword)
{
	return strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 ||
		   strcmp(keyword, "port") == 0;
}

/*
 * Has libpq begin to connect, with these options, to those of the addresses that
 * were not left out.  Returns NULL if there is no memory.
 */
PGconn *
pool_addresses_connect(const PoolAddresses *addresses,
					   const PoolConninfo *conninfo)
{
	static const char *const lists[] = {"host", "hostaddr", "port"};
	StringInfoData values[lengthof(lists)];
	const char **keyword;
	const char **value;
	PoolConninfo to;
	int n = 0;

	for (size_t i = 0; i < lengthof(lists); i++)
		initStringInfo(&values[i]);
	for (int i = 0; i < addresses->count; i++)
	{
		const Address *address = &addresses->list[i];

		if (address->skipped)
			continue;
		append_item(&values[0], n, address->host);
		append_item(&values[1], n, address->hostaddr);
		append_item(&values[2], n, address->port);
		n++;
	}

	keyword = to.keywords = palloc0(sizeof(char *) * (conninfo->count + 4));
	value = to.values = palloc0(sizeof(char *) * (conninfo->count + 4));
	for (int i = 0; i < conninfo->count; i++)
	{
		if (n > 0 && names_host(conninfo->keywords[i]))
			continue;
		*keyword++ = conninfo->keywords[i];
		*value++ = conninfo->values[i];
	}
	for (size_t i = 0; i < lengthof(lists) && n > 0; i++)
	{
		*keyword++ = lists[i];
		*value++ = values[i].data;
	}
	return PQconnectStartParams(to.keywords, to.values, 0);
}

/*
 * Returns the index of the address that libpq is trying now; -1 if that cannot
 * be told.
 */
int
pool_addresses_current(const PoolAddresses *addresses, const PGconn *pg)
{
	for (int i = 0; i < addresses->count; i++)
	{
		const Address *address = &addresses->list[i];

		/* libpq fills in what is empty. */
		if (!address->skipped && strcmp(address->port, PQport(pg)) == 0 &&
			(!address->host[0] || strcmp(address->host, PQhost(pg)) == 0) &&
			(!address->hostaddr[0] ||
			 strcmp(address->hostaddr, PQhostaddr(pg)) == 0))
			return i;
	}
	return -1;
}

/* Returns how many addresses were not left out. */
int
pool_addresses_left(const PoolAddresses *addresses)
{
	int left = 0;

	for (int i = 0; i < addresses->count; i++)
	{
		if (!addresses->list[i].skipped)
			left++;
	}
	return left;
}

/*
 * Leaves out the address of that index, which did not answer, from now on.
 * Returns whether another one is left; false if the index is -1.
 */
bool
pool_addresses_skip(PoolAddresses *addresses, int current)
{
	if (current < 0)
		return false;
	addresses->list[current].skipped = true;
	return pool_addresses_left(addresses) > 0;
}

/* Writes the address and port to which libpq has connected. */
void
pool_addresses_describe(const PGconn *pg, char *address, size_t size)
{
	struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
	socklen_t len = sizeof(peer);
	char host[NI_MAXHOST];
	char port[NI_MAXSERV];

	if (getpeername(PQsocket(pg), (struct sockaddr *) &peer, &len) == 0 &&
		peer.ss_family != AF_UNIX &&
		getnameinfo((struct sockaddr *) &peer, len, host, sizeof(host), port,
					sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) == 0)
		snprintf(address, size,
				 peer.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
	else
		snprintf(address, size, "%s:%s", PQhost(pg), PQport(pg));
}

/* Frees the addresses. */
void
pool_addresses_free(PoolAddresses *addresses)
{
	MemoryContextDelete(addresses->context);
}
