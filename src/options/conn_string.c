/*
 * conn_string.c
 *		A connection string, and the pool that it stands for.
 *
 * Such a pool is one of (database, needs_password, digest).  The digest stands for
 * everything else by which two callers could differ: the local role, and all that goes
 * to libpq, the password included.  It is an HMAC with a secret that is made when the
 * server starts and is nowhere but in the memory of the postmaster and of its children.
 * So what is in shared memory cannot be compared with guesses of a password, and who
 * knows one string's digest cannot make another's.
 *
 * A string in a statement comes again and again.  So those that came last are kept, in
 * memory of the session alone, by text, role and whether that is a superuser; nothing
 * else that they depend on changes while the session lasts.
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/guc.h"
#include "options/conn_string.h"
#include "options/option_table.h"
#include "options/string_options.h"

StaticAssertDecl(POOL_DIGEST_LEN == PG_SHA256_DIGEST_LENGTH,
				 "a key has room for one digest");

/* Strings that a session keeps, and the longest one. */
#define MAX_CACHED 16
#define MAX_CACHED_SIZE 8192

struct PoolConnString
{
	Size size; /* of all of it */
	Oid role;  /* whose it is */
	bool needs_password;
	uint8 digest[POOL_DIGEST_LEN];
	NameData name;
	int connect_timeout;					/* as in PoolStringOptions */
	int count;								/* of parameters */
	char parameters[FLEXIBLE_ARRAY_MEMBER]; /* keyword, NUL, value, NUL, ... */
};

typedef struct CacheEntry
{
	char *text; /* NULL: the entry is empty */
	bool superuser;
	uint64 used; /* when, in calls */
	PoolConnString *string;
} CacheEntry;

static uint8 secret[POOL_DIGEST_LEN];
static CacheEntry cache[MAX_CACHED];
static uint64 calls = 0;

/* Makes the secret.  For _PG_init(), in the postmaster. */
void
pool_conn_string_init(void)
{
	if (!pg_strong_random(secret, sizeof(secret)))
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not generate a random secret")));
}

/*
 * The digest of all that is filled in.  No two strings are the same bytes, since each
 * keyword and value ends with NUL.  needs_password and the database, and so the
 * encoding, are in the key themselves.
 */
static void
make_digest(PoolConnString *string)
{
	const uint32 head[] = {string->role, (uint32) string->connect_timeout};
	pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);

	if (hmac == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	if (pg_hmac_init(hmac, secret, sizeof(secret)) < 0 ||
		pg_hmac_update(hmac, (const uint8 *) head, sizeof(head)) < 0 ||
		pg_hmac_update(hmac, (const uint8 *) string->parameters,
					   string->size - offsetof(PoolConnString, parameters)) < 0 ||
		pg_hmac_final(hmac, string->digest, sizeof(string->digest)) < 0)
		elog(ERROR, "could not compute HMAC: %s", pg_hmac_error(hmac));
	pg_hmac_free(hmac);
}

/* Makes a flat object of what was read. */
static PoolConnString *
flatten(MemoryContext context, const PoolStringOptions *options)
{
	const PoolConninfo *conninfo = &options->conninfo;
	Size size = offsetof(PoolConnString, parameters);
	PoolConnString *string;
	char *at;

	for (int i = 0; i < conninfo->count; i++)
		size += strlen(conninfo->keywords[i]) + strlen(conninfo->values[i]) + 2;
	string = MemoryContextAllocZero(context, size);
	string->size = size;
	string->role = GetUserId();
	string->needs_password = !superuser();
	string->name = options->name;
	string->connect_timeout = options->connect_timeout;
	string->count = conninfo->count;
	at = string->parameters;
	for (int i = 0; i < conninfo->count; i++)
	{
		at = stpcpy(at, conninfo->keywords[i]) + 1;
		at = stpcpy(at, conninfo->values[i]) + 1;
	}
	return string;
}

/* Reads the text, with the rights of the current user; a flat object in "context". */
static PoolConnString *
read_string(MemoryContext context, const char *text)
{
	MemoryContext reading =
		AllocSetContextCreate(CurrentMemoryContext, "pool connection string",
							  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(reading);
	PoolStringOptions options = {0};
	PoolConnString *volatile string = NULL;

	PG_TRY();
	{
		pool_string_options_read(text, !superuser(), &options);
		string = flatten(context, &options);
		make_digest(string);
	}
	PG_CATCH();
	{
		pool_string_options_wipe(&options);
		if (string != NULL)
			pool_conn_string_free(string);
		PG_RE_THROW();
	}
	PG_END_TRY();
	pool_string_options_wipe(&options);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(reading);
	return string;
}

/* Empties an entry. */
static void
forget(CacheEntry *entry)
{
	char *text = entry->text;

	entry->text = NULL;
	if (text != NULL)
	{
		explicit_bzero(text, strlen(text));
		pfree(text);
	}
	if (entry->string != NULL)
		pool_conn_string_free(entry->string);
	entry->string = NULL;
}

/* The entry for that text in the current role; NULL: there is none. */
static CacheEntry *
find_cached(const char *text)
{
	for (int i = 0; i < MAX_CACHED; i++)
	{
		CacheEntry *entry = &cache[i];

		if (entry->text != NULL && entry->string->role == GetUserId() &&
			entry->superuser == superuser() && strcmp(entry->text, text) == 0)
			return entry;
	}
	return NULL;
}

/* Reads the text and keeps it, in the place of what was not used for longest. */
static CacheEntry *
read_cached(const char *text)
{
	CacheEntry *entry = &cache[0];

	for (int i = 1; i < MAX_CACHED; i++)
	{
		if (cache[i].used < entry->used)
			entry = &cache[i];
	}
	forget(entry);
	entry->used = 0;
	entry->string = read_string(TopMemoryContext, text);
	entry->superuser = superuser();
	entry->text = MemoryContextStrdup(TopMemoryContext, text);
	return entry;
}

/*
 * What a connection string means for the current user; a flat copy in "context",
 * which the caller frees with pool_conn_string_free().  Needs a transaction.
 * Raises what pool_string_options_read() does.
 */
PoolConnString *
pool_conn_string_make(MemoryContext context, const char *text)
{
	PoolConnString *string;
	CacheEntry *entry;

	if (strlen(text) > MAX_CACHED_SIZE)
		return read_string(context, text);
	entry = find_cached(text);
	if (entry == NULL)
		entry = read_cached(text);
	entry->used = ++calls;
	string = MemoryContextAlloc(context, entry->string->size);
	memcpy(string, entry->string, entry->string->size);
	return string;
}

/* Wipes and frees it.  Raises nothing. */
void
pool_conn_string_free(PoolConnString *string)
{
	explicit_bzero(string, string->size);
	pfree(string);
}

/*
 * The pool's options.  They have it behave as connections of one's own do: they are
 * closed soon when nobody uses them, may be held for long, and a remote that refuses
 * is tried again for each that asks (see pool_backoff_failed()), though by one
 * attempt at a time, and at most ten in a second.
 */
static void
set_options(const PoolConnString *string, PoolOptions *options)
{
	pool_options_defaults(options);
	options->max_size = pool_guc_dblink_max_size;
	options->max_lifetime = 5 * 60 * 1000;
	options->idle_timeout = 60 * 1000;
	options->leak_threshold = 0;
	options->retry_attempts = 0;
	options->retry_delay = 10;
	options->retry_max_delay = 100;
	options->breaker_threshold = 0;
	if (string->connect_timeout >= 0)
		options->connect_timeout = string->connect_timeout;
}

/*
 * The pool that the string stands for, with the limits of the role that made it.
 * Needs a transaction.  Raises 2F003 if that was a superuser and is none now: the
 * string may be without a password.
 */
void
pool_conn_string_target(const PoolConnString *string, PoolTarget *target)
{
	bool is_superuser = superuser_arg(string->role);

	if (!string->needs_password && !is_superuser)
		ereport(ERROR,
				(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
				 errmsg("password is required"),
				 errdetail(
					 "The role that has connected is not a superuser any more."),
				 errhint(
					 "Connect again, with a password in the connection string.")));

	memset(target, 0, sizeof(*target));
	target->key.database = MyDatabaseId;
	target->key.needs_password = string->needs_password;
	memcpy(target->key.digest, string->digest, POOL_DIGEST_LEN);
	target->stamp.limited_role = is_superuser ? InvalidOid : string->role;
	target->stamp.string_size = pool_guc_dblink_max_size;
	target->mapping_user = string->role;
	target->server_name = string->name;
	namestrcpy(&target->user_name, GetUserNameFromId(string->role, false));
	namestrcpy(&target->database_name, get_database_name(MyDatabaseId));
	set_options(string, &target->options);
}

/*
 * libpq's parameters, in the current memory context.  They contain the password: the
 * caller wipes the values.
 */
void
pool_conn_string_conninfo(const PoolConnString *string, PoolConninfo *conninfo)
{
	const char *at = string->parameters;

	conninfo->keywords = palloc0(sizeof(char *) * (string->count + 1));
	conninfo->values = palloc0(sizeof(char *) * (string->count + 1));
	for (int i = 0; i < string->count; i++)
	{
		conninfo->keywords[i] = pstrdup(at);
		at += strlen(at) + 1;
		conninfo->values[i] = pstrdup(at);
		at += strlen(at) + 1;
		conninfo->count = i + 1; /* what is to be wiped if the next line fails */
	}
}
