/*
 * target.c
 *		From a server's name to the pool that the current role uses for it.
 *
 * Each acquire begins with pool_target_resolve(), so its answers are kept in
 * the backend, by role and server.  The first change to any server, mapping,
 * wrapper or role empties that cache; what can change without such a message
 * (the right to use the server) is checked each time.  No secret is kept.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_user_mapping.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/guc.h"
#include "options/catalog.h"
#include "options/option_table.h"
#include "options/target.h"

/* Answers that a session keeps; with more it begins anew. */
#define MAX_CACHED 1024

typedef struct CacheKey
{
	Oid role;
	NameData server;
} CacheKey;

typedef struct CacheEntry
{
	CacheKey key;
	PoolTarget target;
} CacheEntry;

static HTAB *cache = NULL;
static uint64 changes = 0; /* catalog changes, as count_change() was told */
static uint64 cache_changes = 0; /* "changes" when the cache was emptied last */

/* A syscache callback. */
static void
count_change(Datum arg, int cacheid, uint32 hashvalue)
{
	(void) arg;
	(void) cacheid;
	(void) hashvalue;
	changes++;
}

/*
 * Asks to be told of catalog changes, once in a process.  Not to be called in
 * the postmaster: its children would inherit what only those that resolve names
 * need.
 */
static void
listen_to_catalogs(void)
{
	static const int catalogs[] = {FOREIGNSERVEROID, USERMAPPINGOID,
								   FOREIGNDATAWRAPPEROID, AUTHOID};
	static bool listening = false;

	Assert(IsUnderPostmaster || !IsPostmasterEnvironment);
	if (listening)
		return;
	for (size_t i = 0; i < lengthof(catalogs); i++)
		CacheRegisterSyscacheCallback(catalogs[i], count_change, (Datum) 0);
	listening = true;
}

/* Makes an empty cache in the place of the one there is, if any. */
static void
cache_reset(void)
{
	HASHCTL ctl = {
		.keysize = sizeof(CacheKey),
		.entrysize = sizeof(CacheEntry),
	};

	if (cache)
		hash_destroy(cache);
	cache = NULL; /* in case the next line fails */
	cache = hash_create("pool targets", 16, &ctl, HASH_ELEM | HASH_BLOBS);
	cache_changes = changes;
}

/* The current role's entry for a server; HASH_ENTER makes one. */
static CacheEntry *
cache_find(const char *server_name, HASHACTION action)
{
	CacheKey key;

	memset(&key, 0, sizeof(key));
	key.role = GetUserId();
	namestrcpy(&key.server, server_name);
	return hash_search(cache, &key, action, NULL);
}

/* Raises INSUFFICIENT_PRIVILEGE unless the current role may use the server. */
static void
check_usage(Oid server, const char *server_name)
{
	AclResult result = pool_server_aclcheck(server, GetUserId());

	if (result != ACLCHECK_OK)
		aclcheck_error(result, OBJECT_FOREIGN_SERVER, server_name);
}

/*
 * Whether the current transaction made the row.  Raises
 * OBJECT_NOT_IN_PREREQUISITE_STATE if it changed a row that was there before: a
 * pool has one configuration, and other sessions still see the old one.
 */
static bool
is_uncommitted(HeapTuple row, bool is_server, const char *server_name)
{
	TransactionId xmin = HeapTupleHeaderGetXmin(row->t_data);

	if (!TransactionIdIsCurrentTransactionId(xmin))
		return false;
	if (row->t_data->t_infomask & HEAP_UPDATED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 is_server
					 ? errmsg("server \"%s\" was changed in this transaction",
							  server_name)
					 : errmsg("user mapping for server \"%s\" was changed in this transaction",
							  server_name),
				 errhint("Commit the transaction before you use the server.")));
	return true;
}

/*
 * Reads the pool's own options among those of one object.  Other wrappers have
 * options of these names in places where they mean nothing here.
 */
static void
merge_options(List *options, int context, PoolOptions *values,
			  PoolOptionSet *given)
{
	ListCell *cell;

	foreach (cell, options)
	{
		DefElem *def = lfirst_node(DefElem, cell);
		const PoolOptionDef *own = pool_options_find(def->defname);

		if (own && own->offset >= 0 && (own->contexts & context))
			pool_options_set(own, defGetString(def), values, given);
	}
}

/*
 * Whether the remote must ask for the mapping's password.  The option that says
 * otherwise counts if "guarded": only a superuser can have written it.
 */
static bool
password_required(List *mapping, bool guarded)
{
	const char *value = pool_catalog_value(mapping, "password_required");
	PoolOptions unused;
	PoolOptionSet given = 0;

	if (!guarded || !value)
		return true;
	return pool_options_set(pool_options_find("password_required"), value,
							&unused, &given);
}

/* See PoolStamp. */
static Oid
limited_role(Form_pg_foreign_server server, Form_pg_user_mapping mapping)
{
	Oid role = OidIsValid(mapping->umuser) ? mapping->umuser : server->srvowner;

	return superuser_arg(role) ? InvalidOid : role;
}

/*
 * Lowers the sizes of a mapping that asks for more than the ceiling, the
 * max_size that its server names.
 */
static void
lower_sizes(PoolOptions *options, int ceiling)
{
	if (options->max_size <= ceiling)
		return;
	options->min_size = Min(options->min_size, ceiling);
	options->max_size = ceiling;
}

/*
 * Fills in the target from the rows of the server and the mapping.  Raises what
 * is wrong with the options, and that a password is missing.
 */
static void
fill_target(PoolTarget *target, HeapTuple server_row, HeapTuple mapping_row,
			bool guarded)
{
	Form_pg_foreign_server server =
		(Form_pg_foreign_server) GETSTRUCT(server_row);
	Form_pg_user_mapping mapping = (Form_pg_user_mapping) GETSTRUCT(mapping_row);
	List *on_server = pool_catalog_server_options(server_row);
	List *on_mapping = pool_catalog_mapping_options(mapping_row);
	PoolOptionSet given = 0;
	int ceiling = POOL_MAX_CONNECTIONS;
	bool required;

	memset(target, 0, sizeof(*target));
	target->key.database = MyDatabaseId;
	target->key.server = server->oid;
	target->key.mapping = mapping->oid;
	required = password_required(on_mapping, guarded);
	target->key.needs_password = required && !superuser_arg(GetUserId());
	target->only_key = OidIsValid(mapping->umuser) || !required;
	target->mapping_user = mapping->umuser;
	target->server_name = server->srvname;
	namestrcpy(&target->user_name,
			   OidIsValid(mapping->umuser)
				   ? GetUserNameFromId(mapping->umuser, false)
				   : "public");
	namestrcpy(&target->database_name, get_database_name(MyDatabaseId));

	target->stamp.server_xmin = HeapTupleHeaderGetRawXmin(server_row->t_data);
	target->stamp.server_tid = server_row->t_self;
	target->stamp.mapping_xmin = HeapTupleHeaderGetRawXmin(mapping_row->t_data);
	target->stamp.mapping_tid = mapping_row->t_self;
	target->stamp.limited_role = limited_role(server, mapping);

	pool_catalog_check_password(target, on_mapping);

	pool_options_defaults(&target->options);
	merge_options(on_server, POOL_ON_SERVER, &target->options, &given);
	if (pool_catalog_value(on_server, "max_size") != NULL)
		ceiling = target->options.max_size;
	merge_options(on_mapping, POOL_ON_MAPPING, &target->options, &given);
	lower_sizes(&target->options, ceiling);
	pool_options_check(&target->options, given, true);
}

/* Reads the catalogs.  Returns whether the cache may keep the answer. */
static bool
read_target(const char *server_name, PoolTarget *target)
{
	Oid server = get_foreign_server_oid(server_name, false);
	HeapTuple server_row;
	HeapTuple mapping_row;
	Form_pg_foreign_server server_form;
	bool guarded;
	bool uncommitted;

	check_usage(server, server_name);
	server_row = SearchSysCache1(FOREIGNSERVEROID, server);
	pool_catalog_check_server(server_row, server_name);
	server_form = (Form_pg_foreign_server) GETSTRUCT(server_row);
	guarded = pool_catalog_check_wrapper(server_form->srvfdw, server_name);

	mapping_row = SearchSysCache2(USERMAPPINGUSERSERVER, GetUserId(), server);
	if (!HeapTupleIsValid(mapping_row))
		mapping_row = SearchSysCache2(USERMAPPINGUSERSERVER, InvalidOid, server);
	pool_catalog_check_mapping(mapping_row, server_name);

	/* Such rows can go, and others come in their place, without a message. */
	uncommitted = is_uncommitted(server_row, true, server_name);
	uncommitted |= is_uncommitted(mapping_row, false, server_name);

	fill_target(target, server_row, mapping_row, guarded);
	target->uncommitted = uncommitted;
	ReleaseSysCache(mapping_row);
	ReleaseSysCache(server_row);
	return !uncommitted;
}

/*
 * Finds out which pool the current role uses for a server, and whether it may.
 * Needs a transaction.  Raises UNDEFINED_OBJECT, INSUFFICIENT_PRIVILEGE,
 * FEATURE_NOT_SUPPORTED (not a PostgreSQL server),
 * OBJECT_NOT_IN_PREREQUISITE_STATE (changed and not committed),
 * S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED (no password), and what is wrong
 * with the options.
 */
void
pool_target_resolve(const char *server_name, PoolTarget *target)
{
	CacheEntry *entry;
	uint64 before;

	listen_to_catalogs();

	/* Within a long transaction nothing else needs to look for changes. */
	AcceptInvalidationMessages();

	/* A longer name would be cut off, and then be another server's. */
	if (strlen(server_name) >= NAMEDATALEN)
		pool_catalog_check_server(NULL, server_name);

	if (!cache || cache_changes != changes ||
		hash_get_num_entries(cache) >= MAX_CACHED)
		cache_reset();
	entry = cache_find(server_name, HASH_FIND);
	if (entry)
	{
		check_usage(entry->target.key.server, server_name);
		*target = entry->target;
		return;
	}

	before = changes;
	if (read_target(server_name, target) && before == changes)
		cache_find(server_name, HASH_ENTER)->target = *target;
}

/* Can some role's target have that key, which has these rows? */
static bool
is_possible(const PoolKey *key, HeapTuple server_row, HeapTuple mapping_row)
{
	Form_pg_foreign_server server =
		(Form_pg_foreign_server) GETSTRUCT(server_row);
	Oid user = ((Form_pg_user_mapping) GETSTRUCT(mapping_row))->umuser;
	bool guarded;
	bool required;

	if (!pool_catalog_knows_wrapper(GetForeignDataWrapper(server->srvfdw),
									&guarded))
		return false;
	required =
		password_required(pool_catalog_mapping_options(mapping_row), guarded);
	if (OidIsValid(user))
		return key->needs_password == (required && !superuser_arg(user));

	/* FOR PUBLIC: superusers and others have a pool each if it is required. */
	return required || !key->needs_password;
}

/*
 * Whether the catalogs of this database have the server and the mapping of that
 * key, of a server, and a role could still use it.  Needs a transaction.
 */
bool
pool_target_exists(const PoolKey *key)
{
	HeapTuple server_row = SearchSysCache1(FOREIGNSERVEROID, key->server);
	HeapTuple mapping_row = SearchSysCache1(USERMAPPINGOID, key->mapping);
	bool exists = HeapTupleIsValid(server_row) &&
				  HeapTupleIsValid(mapping_row) &&
				  is_possible(key, server_row, mapping_row);

	if (HeapTupleIsValid(mapping_row))
		ReleaseSysCache(mapping_row);
	if (HeapTupleIsValid(server_row))
		ReleaseSysCache(server_row);
	return exists;
}

/* Whether both are of the same versions of the two rows. */
bool
pool_target_stamp_equal(const PoolStamp *a, const PoolStamp *b)
{
	return TransactionIdEquals(a->server_xmin, b->server_xmin) &&
		   TransactionIdEquals(a->mapping_xmin, b->mapping_xmin) &&
		   a->limited_role == b->limited_role &&
		   a->string_size == b->string_size &&
		   ItemPointerEquals(unconstify(ItemPointerData *, &a->server_tid),
							 unconstify(ItemPointerData *, &b->server_tid)) &&
		   ItemPointerEquals(unconstify(ItemPointerData *, &a->mapping_tid),
							 unconstify(ItemPointerData *, &b->mapping_tid));
}

/* Whether both identify the same pool. */
bool
pool_target_key_equal(const PoolKey *a, const PoolKey *b)
{
	return a->database == b->database && a->server == b->server &&
		   a->mapping == b->mapping && a->needs_password == b->needs_password &&
		   memcmp(a->digest, b->digest, POOL_DIGEST_LEN) == 0;
}

/* Is it the key of a connection string, so of no server? */
bool
pool_target_is_string(const PoolKey *key)
{
	return !OidIsValid(key->server);
}
