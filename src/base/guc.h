/*
 * guc.h
 *		The settings, named pool.something and pool_dblink.something.
 */
#ifndef POOL_GUC_H
#define POOL_GUC_H

#define POOL_MAX_WORKERS 32 /* bits of a mask in shared memory */
#define POOL_MAX_CONNECTIONS 10000
#define POOL_MAX_POOLS 10000
#define POOL_MAX_PRIORITY 1000
#define POOL_MAX_REQUESTS 10000
#define POOL_MAX_PARALLEL 1000

/* How long a connection by a name of pool_dblink is leased. */
typedef enum PoolDblinkMode
{
	POOL_DBLINK_SESSION,	/* until it is disconnected */
	POOL_DBLINK_TRANSACTION /* as long as something on the remote needs it */
} PoolDblinkMode;

/* The module that serves metrics; the server finds it beside this library. */
#define POOL_METRICS_LIBRARY "pool_metrics"

extern PGDLLIMPORT int pool_guc_max_connections;
extern PGDLLIMPORT int pool_guc_max_pools;
extern PGDLLIMPORT int pool_guc_max_role_connections;
extern PGDLLIMPORT int pool_guc_max_role_pools;
extern PGDLLIMPORT int pool_guc_max_requests;
extern PGDLLIMPORT int pool_guc_workers;
extern PGDLLIMPORT int pool_guc_session_cache;
extern PGDLLIMPORT double pool_guc_spin_time; /* milliseconds */
extern PGDLLIMPORT int pool_guc_acquire_timeout;
extern PGDLLIMPORT int pool_guc_priority;
extern PGDLLIMPORT int pool_guc_max_parallel;
extern PGDLLIMPORT int pool_guc_request_timeout;
extern PGDLLIMPORT int pool_guc_max_result_size;
extern PGDLLIMPORT bool pool_guc_log_connections;
extern PGDLLIMPORT bool pool_guc_track_timing;
extern PGDLLIMPORT int pool_guc_log_min_duration;
extern PGDLLIMPORT int pool_guc_log_summary_interval;
extern PGDLLIMPORT int pool_guc_catalog_check_interval;
extern PGDLLIMPORT char *pool_guc_warm_databases;
extern PGDLLIMPORT char *pool_guc_metrics_listen;
extern PGDLLIMPORT int pool_guc_dblink_mode; /* PoolDblinkMode */
extern PGDLLIMPORT int pool_guc_dblink_max_pools;
extern PGDLLIMPORT int pool_guc_dblink_max_size;

extern void pool_guc_init(void);

#endif /* POOL_GUC_H */
