/*
 * options.h
 *		From CREATE SERVER and CREATE USER MAPPING to what the pool needs.
 */
#ifndef POOL_OPTIONS_H
#define POOL_OPTIONS_H

#include "storage/itemptr.h"

#define POOL_QUERY_OPTION_LEN 256 /* bytes of a query given as an option */

typedef enum PoolLeakAction
{
	POOL_LEAK_WARN,
	POOL_LEAK_RECLAIM
} PoolLeakAction;

/*
 * The pool's own options of one (server, user mapping).  Plain data: it is
 * copied into shared memory.  Times are milliseconds, shares are per cent.
 */
typedef struct PoolOptions
{
	int min_size;
	int max_size;
	int max_server_size;
	int acquire_timeout;
	int query_timeout;
	int max_waiters;
	int priority;
	int idle_timeout;
	int max_lifetime;
	int lifetime_jitter;
	int validate_after_idle;
	int health_check_interval;
	int health_check_timeout;
	int retry_attempts;
	int retry_delay;
	int retry_max_delay;
	int retry_jitter;
	int breaker_threshold;
	int breaker_timeout;
	int breaker_successes;
	int leak_threshold;
	int leak_action; /* PoolLeakAction */
	int autoscale;	 /* 0 or 1 */
	int scale_up_threshold;
	int scale_down_threshold;
	int scale_step;
	int scale_interval;
	int connect_parallel;
	int connect_timeout;
	char reset_query[POOL_QUERY_OPTION_LEN];
	char health_check_query[POOL_QUERY_OPTION_LEN];
} PoolOptions;

/*
 * Which version of the two catalog rows an answer was computed from.  Equal
 * stamps mean the same options; any ALTER makes a new row version and so a
 * new stamp.  Compare with pool_stamp_equal(), never with memcmp().
 */
typedef struct PoolStamp
{
	TransactionId server_xmin;
	ItemPointerData server_tid;
	TransactionId mapping_xmin;
	ItemPointerData mapping_tid;
} PoolStamp;

/* What identifies a pool. */
typedef struct PoolKey
{
	Oid database;
	Oid server;
	Oid mapping;

	/*
	 * Whether the remote must have asked for the mapping's password.  It is
	 * part of the key so that a mapping FOR PUBLIC never hands a connection
	 * that a superuser opened without a password to anyone else.
	 */
	bool needs_password;
} PoolKey;

/* A server name as the current user may use it. */
typedef struct PoolTarget
{
	PoolKey key;
	PoolStamp stamp;
	Oid mapping_user; /* InvalidOid: the mapping is FOR PUBLIC */
	NameData server_name;
	NameData user_name; /* of the mapping, for the log */
	NameData database_name;
	PoolOptions options;
} PoolTarget;

/* libpq's parameters; both arrays are NULL-terminated and equally long. */
typedef struct PoolConninfo
{
	const char **keywords;
	const char **values;
	int count; /* without the terminator */
} PoolConninfo;

extern void pool_options_resolve(const char *server_name, PoolTarget *target);
extern void pool_options_conninfo(const PoolTarget *target,
								  PoolConninfo *conninfo);
extern int pool_options_count_items(const char *list);
extern bool pool_stamp_equal(const PoolStamp *a, const PoolStamp *b);

#endif /* POOL_OPTIONS_H */
