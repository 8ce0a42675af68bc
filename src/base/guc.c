/*
 * guc.c
 *		The settings, named pool.something and pool_dblink.something.
 *
 * Those that size the shared memory are read once, when the server starts.
 */
#include "postgres.h"

#include <limits.h>
#include <unistd.h>

#include "miscadmin.h"
#include "utils/guc.h"
#include "utils/varlena.h"

#include "base/fault.h"
#include "base/guc.h"
#include "base/listen_address.h"

int pool_guc_max_connections = 100;
int pool_guc_max_pools = 64;
int pool_guc_max_role_connections = -1;
int pool_guc_max_role_pools = -1;
int pool_guc_max_requests = 1000;
int pool_guc_workers = 1;
int pool_guc_session_cache = 32;
double pool_guc_spin_time = 0.1;
int pool_guc_acquire_timeout = -1;
int pool_guc_priority = POOL_MAX_PRIORITY;
int pool_guc_max_parallel = 16;
int pool_guc_request_timeout = 60000;
int pool_guc_max_result_size = 1024 * 1024;
bool pool_guc_log_connections = false;
bool pool_guc_track_timing = true;
int pool_guc_log_min_duration = -1;
int pool_guc_log_summary_interval = 0;
int pool_guc_catalog_check_interval = 30000;
char *pool_guc_warm_databases = NULL;
char *pool_guc_metrics_listen = NULL;
int pool_guc_dblink_mode = POOL_DBLINK_SESSION;
int pool_guc_dblink_max_pools = 64;
int pool_guc_dblink_max_size = 20;

static const struct config_enum_entry dblink_modes[] = {
	{"session", POOL_DBLINK_SESSION, false},
	{"transaction", POOL_DBLINK_TRANSACTION, false},
	{NULL, 0, false},
};

/* Whether the value is a list of names, as pool.warm_databases wants it. */
static bool
check_names(char **value, void **extra, GucSource source)
{
	char *names = pstrdup(*value);
	List *list;
	bool valid = SplitIdentifierString(names, ',', &list);

	if (!valid)
		GUC_check_errdetail("List syntax is invalid.");
	list_free(list);
	pfree(names);
	return valid;
}

/*
 * Whether metrics can be served there, as far as that is known without trying.  At
 * the server's start a value that is refused is a warning, as it is for each setting
 * of an extension, and there are no metrics: no reason for a database to be down.
 */
static bool
check_metrics_listen(char **value, void **extra, GucSource source)
{
	PoolListenAddress address;
	char path[MAXPGPATH];

	if ((*value)[0] == '\0')
		return true;
	if (!pool_listen_address_parse(*value, &address))
	{
		GUC_check_errdetail("It must be an IP address and a port, with an IPv6 "
							"address in brackets.");
		GUC_check_errhint("For example \"127.0.0.1:9899\" or \"[::1]:9899\".");
		return false;
	}
	snprintf(path, sizeof(path), "%s/" POOL_METRICS_LIBRARY "%s", pkglib_path,
			 DLSUFFIX);
	if (access(path, R_OK) != 0)
	{
		int access_errno = errno;

		GUC_check_errmsg("metrics cannot be served: module \"%s\" is not installed",
						 POOL_METRICS_LIBRARY);
		errno = access_errno;
		GUC_check_errdetail("Could not access file \"%s\": %m.", path);
		GUC_check_errhint(
			"It is in a package of its own, or not built for want of "
			"GNU libmicrohttpd; pool_metrics() needs no module.");
		return false;
	}
	return true;
}

/* Defines the settings of pool_dblink. */
static void
define_dblink(void)
{
	DefineCustomEnumVariable("pool_dblink.mode",
							 "Sets how long dblink_connect() has a connection.",
							 "In mode \"session\" until dblink_disconnect(), "
							 "in mode \"transaction\" "
							 "as long as something on the remote needs it.",
							 &pool_guc_dblink_mode, POOL_DBLINK_SESSION,
							 dblink_modes, PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("pool_dblink.max_pools",
							"Sets the maximum number of pools for connection strings.",
							"When it is reached, the one that was not used for the longest time is "
							"closed for a new one.",
							&pool_guc_dblink_max_pools, 64, 1, POOL_MAX_POOLS,
							PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("pool_dblink.max_size",
							"Sets the maximum number of connections for one connection string.",
							"Each role has a pool of its own for it.",
							&pool_guc_dblink_max_size, 20, 1,
							POOL_MAX_CONNECTIONS, PGC_SIGHUP, 0, NULL, NULL,
							NULL);

	MarkGUCPrefixReserved("pool_dblink");
}

/* Defines the settings; _PG_init() calls it, in the postmaster. */
void
pool_guc_init(void)
{
	DefineCustomIntVariable("pool.max_connections",
							"Sets the maximum number of connections of all pools together.",
							NULL, &pool_guc_max_connections, 100, 1,
							POOL_MAX_CONNECTIONS, PGC_POSTMASTER, 0, NULL, NULL,
							NULL);

	DefineCustomIntVariable("pool.max_pools",
							"Sets the maximum number of pools.",
							"A pool serves one user mapping of one server.",
							&pool_guc_max_pools, 64, 1, POOL_MAX_POOLS,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pool.max_role_connections",
		"Sets the maximum number of connections for the user mappings of one role.",
		"-1 is half of pool.max_connections, 0 no limit; superusers have none.",
		&pool_guc_max_role_connections, -1, -1, POOL_MAX_CONNECTIONS,
		PGC_SIGHUP, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pool.max_role_pools",
		"Sets the maximum number of pools for the user mappings of one role.",
		"-1 is half of pool.max_pools, 0 no limit; superusers have none.",
		&pool_guc_max_role_pools, -1, -1, POOL_MAX_POOLS, PGC_SIGHUP, 0, NULL,
		NULL, NULL);

	DefineCustomIntVariable(
		"pool.max_requests",
		"Sets the maximum number of requests of all sessions together.",
		"A request is a statement that was sent without waiting for its answer.",
		&pool_guc_max_requests, 1000, 0, POOL_MAX_REQUESTS, PGC_POSTMASTER, 0,
		NULL, NULL, NULL);

	DefineCustomIntVariable("pool.workers",
							"Sets the number of background workers.",
							"The pools are divided among them.",
							&pool_guc_workers, 1, 1, POOL_MAX_WORKERS,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pool.session_cache",
		"Sets how many connections a session keeps open for its next lease.",
		"The session only keeps descriptors; the connections stay shared.",
		&pool_guc_session_cache, 32, 1, 1000, PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomRealVariable(
		"pool.spin_time",
		"Sets for how long a statement looks for an answer before it sleeps.",
		"It does so from its second query of a remote on; 0 turns it off.",
		&pool_guc_spin_time, 0.1, 0, 10, PGC_USERSET, GUC_UNIT_MS, NULL, NULL,
		NULL);

	DefineCustomIntVariable("pool.acquire_timeout",
							"Sets the maximum time to wait for a connection.",
							"-1 uses the option of the server or user mapping.",
							&pool_guc_acquire_timeout, -1, -1, INT_MAX,
							PGC_USERSET, GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pool.priority",
		"Sets the priority of a session that waits for a connection.",
		"It can lower the option of the server or user mapping, not raise it.",
		&pool_guc_priority, POOL_MAX_PRIORITY, -POOL_MAX_PRIORITY,
		POOL_MAX_PRIORITY, PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable("pool.max_parallel",
							"Sets how many connections the requests of a session have at a time.",
							NULL, &pool_guc_max_parallel, 16, 1,
							POOL_MAX_PARALLEL, PGC_USERSET, 0, NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pool.request_timeout",
		"Sets for how long a request may have a connection that its session does not look after.",
		"A session looks after its requests while it is in a function of pool; 0 is no limit.",
		&pool_guc_request_timeout, 60000, 0, INT_MAX, PGC_USERSET, GUC_UNIT_MS,
		NULL, NULL, NULL);

	DefineCustomIntVariable("pool.max_result_size",
							"Sets the maximum size of the rows of one request.",
							"0 is no limit.", &pool_guc_max_result_size,
							1024 * 1024, 0, INT_MAX, PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);

	DefineCustomBoolVariable("pool.log_connections",
							 "Logs each connection that is opened or closed.",
							 NULL, &pool_guc_log_connections, false, PGC_SIGHUP,
							 0, NULL, NULL, NULL);

	DefineCustomIntVariable("pool.log_min_duration",
							"Sets from which duration on statements on remotes are logged.",
							"0 logs all, -1 none.", &pool_guc_log_min_duration,
							-1, -1, INT_MAX, PGC_SUSET, GUC_UNIT_MS, NULL, NULL,
							NULL);

	DefineCustomIntVariable("pool.log_summary_interval",
							"Sets how often the log gets a line for each pool that was used.",
							"0 turns it off.", &pool_guc_log_summary_interval,
							0, 0, INT_MAX, PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL,
							NULL);

	DefineCustomBoolVariable("pool.track_timing",
							 "Collects how long waits, connects, statements and leases take.",
							 NULL, &pool_guc_track_timing, true, PGC_SUSET, 0,
							 NULL, NULL, NULL);

	DefineCustomIntVariable(
		"pool.catalog_check_interval",
		"Sets after what time a pool that nobody asks for is compared with the catalogs.",
		"A pool without its server, user mapping or database is closed then.",
		&pool_guc_catalog_check_interval, 30000, 100, INT_MAX, PGC_SIGHUP,
		GUC_UNIT_MS, NULL, NULL, NULL);

	DefineCustomStringVariable(
		"pool.warm_databases",
		"Lists the databases whose pools are filled when the server starts.",
		"They are filled up to min_size, for the user mappings of roles.",
		&pool_guc_warm_databases, "", PGC_POSTMASTER, GUC_LIST_INPUT,
		check_names, NULL, NULL);

	DefineCustomStringVariable("pool.metrics_listen",
							   "Sets the address and port where metrics are served by HTTP.",
							   "An empty string turns it off.",
							   &pool_guc_metrics_listen, "", PGC_POSTMASTER, 0,
							   check_metrics_listen, NULL, NULL);

	define_dblink();

#ifdef POOL_FAULT_POINTS
	pool_fault_init();
#endif
	MarkGUCPrefixReserved("pool");
}
