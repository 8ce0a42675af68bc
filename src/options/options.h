/*
 * options.h
 *		The pool's own options of a server and a user mapping.
 */
#ifndef POOL_OPTIONS_H
#define POOL_OPTIONS_H

#define POOL_QUERY_OPTION_LEN 256 /* bytes of a query, with its end */

/* The most that statement_cache can be; there is room for so many in each slot. */
#define POOL_MAX_STATEMENT_CACHE 64

/* The reset_query whose parts are known, and can be prepared. */
#define POOL_DEFAULT_RESET "DISCARD ALL"

/* How the remote plans prepared statements. */
typedef enum PoolStatementPlan
{
	POOL_PLAN_AUTO,
	POOL_PLAN_CUSTOM
} PoolStatementPlan;

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
	int fairness_round;
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
	int statement_cache;
	int statement_plan; /* PoolStatementPlan */
	char reset_query[POOL_QUERY_OPTION_LEN];
	char health_check_query[POOL_QUERY_OPTION_LEN];
} PoolOptions;

#endif /* POOL_OPTIONS_H */
