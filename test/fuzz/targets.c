/*
 * targets.c
 *	  The list of targets, and those that read texts: options and hosts.
 */
#include "postgres.h"

#include "catalog/pg_foreign_server.h"
#include "catalog/pg_type.h"
#include "catalog/pg_user_mapping.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "options/option_table.h"
#include "worker/addresses.h"
#include "worker/hosts.h"

#include "targets.h"

const FuzzTarget fuzz_targets[] = {
	{"messages", fuzz_prepare_pool, fuzz_messages}, /* of sessions, in the worker */
	{"reply", fuzz_prepare_reply, fuzz_reply},		/* of the worker, in a session */
	{"answer", NULL, fuzz_answer},					/* of a remote to a reset */
	{"connect", fuzz_prepare_connect, fuzz_connect}, /* a remote while the worker connects */
	{"result", fuzz_prepare_result, fuzz_result},	/* of a statement, in a session */
	{"options", NULL, fuzz_options},				/* names and values */
	{"hosts", NULL, fuzz_hosts},					/* lists of hosts and addresses */
	{NULL, NULL, NULL},
};

extern Datum pool_validator(PG_FUNCTION_ARGS);

/* The next string, which ends with NUL or with the input; a copy. */
char *
fuzz_string(const uint8 **data, size_t *size)
{
	char *string = pnstrdup((const char *) *data, *size);
	size_t taken = Min(strlen(string) + 1, *size);

	*data += taken;
	*size -= taken;
	return string;
}

/*
 * Options as CREATE SERVER has them: the catalog, then name=value, ...  What the
 * validator accepts has to be within the range of the option.
 */
void
fuzz_options(const uint8 *data, size_t size)
{
	static const Oid catalogs[] = {ForeignServerRelationId, UserMappingRelationId, InvalidOid};
	Datum items[64];
	char *texts[64];
	ArrayType *array;
	PoolOptionSet given = 0;
	PoolOptions values;
	Oid catalog;
	int n = 0;

	if (size == 0)
		return;
	catalog = catalogs[*data++ % lengthof(catalogs)];
	for (size--; size > 0 && n < 64; n++)
	{
		texts[n] = fuzz_string(&data, &size);
		items[n] = CStringGetTextDatum(texts[n]);
	}
	array = construct_array(items, n, TEXTOID, -1, false, TYPALIGN_INT);
	DirectFunctionCall2(pool_validator, PointerGetDatum(array),
						ObjectIdGetDatum(catalog));

	pool_options_defaults(&values);
	for (int i = 0; i < n; i++)
	{
		char *value = strchr(texts[i], '=');
		const PoolOptionDef *def;
		int number;

		FUZZ_EXPECT(catalog != InvalidOid);
		if (value)
			*value++ = '\0';
		def = pool_options_find(texts[i]);
		if (def == NULL)
			continue;
		number = pool_options_set(def, value ? value : "true", &values, &given);
		FUZZ_EXPECT(def->kind == POOL_KIND_TEXT || (number >= def->min && number <= def->max));
	}
	FUZZ_EXPECT(strlen(values.reset_query) < POOL_QUERY_OPTION_LEN);
	FUZZ_EXPECT(strlen(values.health_check_query) < POOL_QUERY_OPTION_LEN);
}

/*
 * Hosts, addresses, ports, service; then what the look-ups have found, for one
 * name after the other.  Nothing is looked up or connected to.
 */
void
fuzz_hosts(const uint8 *data, size_t size)
{
	const char *keywords[] = {"host", "hostaddr", "port", "service", "nonsense", NULL};
	const char *values[6] = {NULL};
	PoolConninfo conninfo = {.count = 5, .keywords = keywords, .values = values};
	PoolHosts *hosts;
	PoolAddresses *addresses;
	const char *problem;

	for (int i = 0; i < 5; i++)
		values[i] = fuzz_string(&data, &size);
	for (int i = 0; i < 2; i++)
	{
		if (pool_conninfo_count_items(values[i]) > 32)
			return; /* refused in conninfo.c */
	}
	hosts = pool_hosts_make(&conninfo, NULL);
	FUZZ_EXPECT(pool_hosts_make(&conninfo, hosts) == hosts);
	for (int i = 0; i < hosts->count && size > 0; i++)
	{
		PoolHost *host = &hosts->list[i];
		MemoryContext old = MemoryContextSwitchTo(hosts->context);

		FUZZ_EXPECT(host->same_as < i);
		if (host->is_name && host->same_as < 0)
		{
			for (int n = *data++ % 5, j = size-- * 0; j < n; j++)
				host->addresses = lappend(host->addresses, fuzz_string(&data, &size));
		}
		MemoryContextSwitchTo(old);
	}
	addresses = pool_addresses_make(hosts, &problem);
	if (addresses != NULL)
	{
		int left = pool_addresses_left(addresses);

		FUZZ_EXPECT(left >= 0 && left <= 32 * 5);

		/* libpq refuses the last option before it connects to anything. */
		PQfinish(pool_addresses_connect(addresses, &conninfo));
		for (int i = 0; i < left; i++)
			FUZZ_EXPECT(pool_addresses_skip(addresses, i) == (i < left - 1));
		pool_addresses_free(addresses);
	}
	pool_hosts_free(hosts);
}
