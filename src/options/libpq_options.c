/*
 * libpq_options.c
 *		libpq's options: which there are, and who may write them where.
 *
 * The list comes from the libpq that is running, so that a newer one brings
 * its options with it.  What is special about some of them is in the rules.
 */
#include "postgres.h"

#include "libpq-fe.h"
#include "utils/memutils.h"

#include "options/libpq_options.h"
#include "options/option_table.h"

/*
 * What is special about libpq's options.  The others belong to a server,
 * except that secrets belong to a mapping, because everybody can read the
 * options of a server, and debugging aids nowhere.
 */
static const PoolLibpqOption libpq_rules[] = {
	{"user", POOL_ON_MAPPING, false, false},
	{"sslcert", POOL_ON_MAPPING, true, true},
	{"sslkey", POOL_ON_MAPPING, true, true},
	{"passfile", POOL_ON_SERVER, true, true},
	{"service", POOL_ON_SERVER, true, true},
	{"servicefile", POOL_ON_SERVER, true, true},
	{"gssdelegation", POOL_ON_SERVER, true, true},
	{"krbsrvname", POOL_ON_SERVER, true, false},

	/* What both ends of a handover must agree on is set by the pool. */
	{"client_encoding", 0, false, false},
	{"fallback_application_name", 0, false, false},
	{"replication", 0, false, false},

	/* It would have the server write a file of anybody's choice. */
	{"sslkeylogfile", 0, false, false},

	/*
	 * A person would have to log in with a browser for each connection, and the
	 * server would go to any address for it.
	 */
	{"oauth_issuer", 0, false, false},
	{"oauth_client_id", 0, false, false},
	{"oauth_client_secret", 0, false, false},
	{"oauth_scope", 0, false, false},
};

static PoolLibpqOption *libpq_table = NULL;

/*
 * Fills in one of the table.  Of what libpq says only names are kept: its
 * defaults can be secrets.
 */
static void
fill_option(PoolLibpqOption *option, const PQconninfoOption *source)
{
	option->name = pstrdup(source->keyword);
	if (strchr(source->dispchar, 'D'))
		option->contexts = 0;
	else if (strchr(source->dispchar, '*'))
		option->contexts = POOL_ON_MAPPING;
	else
		option->contexts = POOL_ON_SERVER;

	for (size_t i = 0; i < lengthof(libpq_rules); i++)
	{
		if (strcmp(libpq_rules[i].name, source->keyword) != 0)
			continue;
		option->contexts = libpq_rules[i].contexts;
		option->identity = libpq_rules[i].identity;
		option->superuser = libpq_rules[i].superuser;
	}
}

/*
 * libpq's options except those that the pool has an own meaning for, made at
 * the first call and kept for the life of the process.  Raises
 * FDW_OUT_OF_MEMORY.
 */
const PoolLibpqOption *
pool_libpq_options_table(void)
{
	PQconninfoOption *source;
	PoolLibpqOption *table;
	MemoryContext old;
	int n = 0;

	if (libpq_table)
		return libpq_table;

	source = PQconndefaults();
	if (!source)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OUT_OF_MEMORY), errmsg("out of memory"),
				 errdetail("Could not get the list of libpq options.")));

	/* Running out of memory here leaks the list once, which is accepted. */
	while (source[n].keyword)
		n++;
	old = MemoryContextSwitchTo(TopMemoryContext);
	table = palloc0(sizeof(PoolLibpqOption) * (n + 1));
	n = 0;
	for (const PQconninfoOption *s = source; s->keyword; s++)
	{
		if (!pool_options_find(s->keyword))
			fill_option(&table[n++], s);
	}
	MemoryContextSwitchTo(old);
	PQconninfoFree(source);

	libpq_table = table;
	return libpq_table;
}

/* libpq's option of that name, or NULL. */
const PoolLibpqOption *
pool_libpq_options_find(const char *name)
{
	const PoolLibpqOption *option = pool_libpq_options_table();

	for (; option->name; option++)
	{
		if (strcmp(option->name, name) == 0)
			return option;
	}
	return NULL;
}
