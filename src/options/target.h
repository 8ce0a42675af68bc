/*
 * target.h
 *		From a server's name to the pool that the current role uses for it.
 *
 * What a connection string means is told in the same way; conn_string.h.
 */
#ifndef POOL_TARGET_H
#define POOL_TARGET_H

#include "storage/itemptr.h"

#include "options/options.h"

#define POOL_DIGEST_LEN 32

/*
 * Which version of the catalogs' rows an answer was computed from.  Equal
 * stamps mean the same options; any ALTER makes a new row version and so a
 * new stamp.  Compare with pool_target_stamp_equal(), never with memcmp().
 */
typedef struct PoolStamp
{
	TransactionId server_xmin;
	ItemPointerData server_tid;
	TransactionId mapping_xmin;
	ItemPointerData mapping_tid;

	/*
	 * The role whose limits hold: of the mapping, or the server's owner if that
	 * is FOR PUBLIC, since only the owner can alter it.  InvalidOid: a superuser,
	 * who has no limits; this can change without a new row version.
	 */
	Oid limited_role;

	/* Of a connection string: its max_size, which is a setting; else 0. */
	int string_size;
} PoolStamp;

/*
 * What identifies a pool: a server and a mapping, or the digest of a connection
 * string (conn_string.c).
 */
typedef struct PoolKey
{
	Oid database;
	Oid server;
	Oid mapping;

	/*
	 * Whether the remote must have asked for the mapping's password.  It is
	 * part of the key so that a connection that a superuser opened without a
	 * password, by a mapping FOR PUBLIC, is never leased to anyone else.
	 */
	bool needs_password;

	uint8 digest[POOL_DIGEST_LEN]; /* zeros: it is a server's */
} PoolKey;

/* What a server's name means for the current role. */
typedef struct PoolTarget
{
	PoolKey key;
	PoolStamp stamp;
	bool uncommitted;	  /* the current transaction made one of the rows */
	bool only_key;		  /* no other role has another key for the mapping */
	Oid mapping_user;	  /* InvalidOid: the mapping is FOR PUBLIC */
	NameData server_name; /* of a string: who connects where */
	NameData user_name;	  /* of the mapping, for the log */
	NameData database_name;
	PoolOptions options;
} PoolTarget;

extern void pool_target_resolve(const char *server_name, PoolTarget *target);
extern bool pool_target_exists(const PoolKey *key);
extern bool pool_target_stamp_equal(const PoolStamp *a, const PoolStamp *b);
extern bool pool_target_key_equal(const PoolKey *a, const PoolKey *b);
extern bool pool_target_is_string(const PoolKey *key);

#endif /* POOL_TARGET_H */
