/*
 * statement_cache.c
 *		Which statements this session has run, and how often.
 *
 * A statement that has run successfully a few times is worth being prepared on
 * the connection.  This table counts; what a connection has prepared is in its
 * slot (shared/prepared.c), and how statements go by name in by_name.c.
 *
 * A statement is its text with the types of its parameters, in one pool.  The
 * table compares the whole of it, never only a hash, and is bounded in number
 * and in length: the one that was not run for the longest time goes.  A pointer
 * to an entry holds until the next call of pool_statement_cache_get().
 *
 * The name on the remote is an HMAC-SHA256 of text and types, cut to 128 bits,
 * with a key that is random for each start of the server.  So every session finds
 * the same name, nobody can look for two statements that have the same one, and
 * nobody can know a name without seeing it on the remote.
 *
 * All memory here is the session's own; of what is shared only the key is read,
 * which never changes.
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "lib/ilist.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "session/statement_cache.h"
#include "shared/shmem.h"
#include "statement/literals.h"
#include "statement/param_casts.h"

/* Statements in the table, and the longest text and list of parameters. */
#define MAX_STATEMENTS 256
#define MAX_TEXT (8 * 1024)
#define MAX_PARAMS 128

/* What two statements have in common that are the same. */
typedef struct StatementKey
{
	uint64 pool_id;
	uint64 hash; /* of the text */
	const char *sql;
	int nparams;
	const Oid *types;
} StatementKey;

struct PoolCachedStatement
{
	StatementKey key; /* first, for dynahash */
	dlist_node node;  /* most recently run first */
	void *block;	  /* has what the key points to */
	int runs;		  /* successful ones in a row */
	bool named;
	PoolStatementName name; /* if named */
};

static HTAB *table = NULL;
static MemoryContext context = NULL;
static dlist_head by_use = DLIST_STATIC_INIT(by_use);
static uint64 removals = 0;

static uint32
hash_key(const void *key, Size keysize)
{
	const StatementKey *k = key;
	uint32 hash = hash_combine((uint32) k->hash, (uint32) k->pool_id);

	return hash_combine(hash, hash_bytes((const unsigned char *) k->types,
										 k->nparams * (int) sizeof(Oid)));
}

static int
compare_keys(const void *a, const void *b, Size keysize)
{
	const StatementKey *x = a;
	const StatementKey *y = b;

	return !(x->pool_id == y->pool_id && x->hash == y->hash &&
			 x->nparams == y->nparams && strcmp(x->sql, y->sql) == 0 &&
			 (x->nparams == 0 ||
			  memcmp(x->types, y->types, x->nparams * sizeof(Oid)) == 0));
}

static StatementKey
key_of(uint64 pool_id, const PoolStatement *statement)
{
	static const Oid none = InvalidOid;
	StatementKey key = {.pool_id = pool_id,
						.hash = statement->hash,
						.sql = statement->sql};

	key.nparams = statement->nparams;
	key.types = statement->nparams > 0 ? statement->types : &none;
	return key;
}

/*
 * May the statement be prepared at all?  Where the remote infers the type of a
 * parameter, it would keep the inferred one though a column's type changes.
 */
static bool
is_cacheable(const PoolStatement *statement)
{
	return statement->nparams <= MAX_PARAMS && statement->length <= MAX_TEXT &&
		   !pool_literals_may_freeze(statement->sql) &&
		   pool_param_casts_are_complete(statement->sql, statement->nparams,
										 statement->types);
}

static void
make_table(void)
{
	HASHCTL ctl = {.keysize = sizeof(StatementKey),
				   .entrysize = sizeof(PoolCachedStatement),
				   .hash = hash_key,
				   .match = compare_keys};

	if (context == NULL)
		context = AllocSetContextCreate(TopMemoryContext, "pool statements",
										ALLOCSET_DEFAULT_SIZES);
	ctl.hcxt = context;
	table = hash_create("pool statements", MAX_STATEMENTS, &ctl,
						HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
}

static void
remove_entry(PoolCachedStatement *cached)
{
	void *block = cached->block;

	removals++;
	dlist_delete(&cached->node);
	(void) hash_search(table, &cached->key, HASH_REMOVE, NULL);
	pfree(block);
}

static PoolCachedStatement *
add_entry(const StatementKey *key)
{
	size_t text = MAXALIGN(strlen(key->sql) + 1);
	StatementKey own = *key;
	PoolCachedStatement *cached;
	char *block;

	if (hash_get_num_entries(table) >= MAX_STATEMENTS)
		remove_entry(dlist_container(PoolCachedStatement, node,
									 dlist_tail_node(&by_use)));
	block = MemoryContextAlloc(context, text + key->nparams * sizeof(Oid));
	strcpy(block, key->sql);
	memcpy(block + text, key->types, key->nparams * sizeof(Oid));
	own.sql = block;
	own.types = (const Oid *) (block + text);
	cached = hash_search(table, &own, HASH_ENTER, NULL);
	cached->block = block;
	cached->runs = 0;
	cached->named = false;
	dlist_push_head(&by_use, &cached->node);
	return cached;
}

/*
 * A number that is another one when an entry that was there before may be gone.
 */
uint64
pool_statement_cache_removals(void)
{
	return removals;
}

/*
 * The entry of a statement, made if there is none; NULL if the statement is not
 * one to be prepared.
 */
PoolCachedStatement *
pool_statement_cache_get(uint64 pool_id, const PoolStatement *statement)
{
	StatementKey key = key_of(pool_id, statement);
	PoolCachedStatement *cached;

	if (table == NULL)
		make_table();
	cached = hash_search(table, &key, HASH_FIND, NULL);
	if (cached != NULL)
		dlist_move_head(&by_use, &cached->node);
	else if (is_cacheable(statement))
		cached = add_entry(&key);
	return cached;
}

/* Is it new to this session?  Then its name has not been computed yet. */
bool
pool_statement_cache_is_new(const PoolCachedStatement *cached)
{
	return cached->runs == 0 && !cached->named;
}

/* Has the statement succeeded often enough to be prepared? */
bool
pool_statement_cache_is_ripe(const PoolCachedStatement *cached)
{
	return cached->runs >= POOL_STATEMENT_CACHE_RUNS;
}

/*
 * Notes how a run ended.  The statement has to prove itself again after an error.
 */
void
pool_statement_cache_note(PoolCachedStatement *cached, bool succeeded)
{
	cached->runs =
		succeeded ? Min(cached->runs + 1, POOL_STATEMENT_CACHE_RUNS) : 0;
}

/* Writes out the name that a statement of that hash has. */
void
pool_statement_cache_spell(PoolStatementName *name)
{
	snprintf(name->text, sizeof(name->text), "pool_%016llx%016llx",
			 (unsigned long long) name->hash.half[0],
			 (unsigned long long) name->hash.half[1]);
}

/*
 * The name of a statement.  The number of parameters and their types come first,
 * so that no text can be taken for them.  Raises XX000 if there is no HMAC.
 */
void
pool_statement_cache_make_name(const char *sql, int nparams, const Oid *types,
							   PoolStatementName *name)
{
	uint8 digest[PG_SHA256_DIGEST_LENGTH];
	pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);
	bool done;

	done =
		hmac != NULL &&
		pg_hmac_init(hmac, pool_shmem->statement_key,
					 sizeof(pool_shmem->statement_key)) == 0 &&
		pg_hmac_update(hmac, (const uint8 *) &nparams, sizeof(nparams)) == 0 &&
		(nparams == 0 || pg_hmac_update(hmac, (const uint8 *) types,
										nparams * sizeof(Oid)) == 0) &&
		pg_hmac_update(hmac, (const uint8 *) sql, strlen(sql)) == 0 &&
		pg_hmac_final(hmac, digest, sizeof(digest)) == 0;
	if (hmac != NULL)
		pg_hmac_free(hmac);
	if (!done)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR),
						errmsg("could not compute the name of a statement")));
	memcpy(&name->hash, digest, sizeof(name->hash));
	pool_statement_cache_spell(name);
}

/* The statement's name, which is computed once. */
const PoolStatementName *
pool_statement_cache_name(PoolCachedStatement *cached)
{
	const StatementKey *key = &cached->key;

	if (!cached->named)
		pool_statement_cache_make_name(key->sql, key->nparams, key->types,
									   &cached->name);
	cached->named = true;
	return &cached->name;
}
