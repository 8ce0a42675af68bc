/*
 * functions.c
 *		The SQL functions that run statements and hold leases.
 *
 * They turn arguments into a statement and a result; the work is done in
 * session/session.c and session/lease.c, which say what is raised.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"

#include "session/lease.h"
#include "session/lease_run.h"
#include "session/request_run.h"
#include "session/requests.h"
#include "session/session.h"
#include "sql/args.h"
#include "statement/call_site.h"
#include "statement/result.h"
#include "statement/statement.h"

PG_FUNCTION_INFO_V1(pool_sql_query_server);
PG_FUNCTION_INFO_V1(pool_sql_query_lease);
PG_FUNCTION_INFO_V1(pool_sql_query_json_server);
PG_FUNCTION_INFO_V1(pool_sql_query_json_lease);
PG_FUNCTION_INFO_V1(pool_sql_exec_server);
PG_FUNCTION_INFO_V1(pool_sql_exec_lease);
PG_FUNCTION_INFO_V1(pool_sql_acquire);
PG_FUNCTION_INFO_V1(pool_sql_release);

/* Runs the statement on a connection leased for it alone. */
static PoolResult *
run_on_server(FunctionCallInfo fcinfo, PoolResultMode mode)
{
	char *server = pool_args_server(fcinfo);
	PoolCallSite *site = pool_call_site_enter(fcinfo->flinfo);
	PoolStatement *statement = pool_statement_from_args(fcinfo, 1, site);
	PoolResult *result = pool_result_create(fcinfo, mode, server, site);

	pool_session_run(server, statement, result);
	pool_result_finish(result);
	pool_call_site_leave(site);
	return result;
}

/* Runs the statement on the connection of a lease. */
static PoolResult *
run_on_lease(FunctionCallInfo fcinfo, PoolResultMode mode)
{
	PoolCallSite *site;
	PoolLease *lease;
	PoolStatement *statement;
	PoolResult *result;

	pool_args_refuse_null(fcinfo, 0, "lease");
	site = pool_call_site_enter(fcinfo->flinfo);
	statement = pool_statement_from_args(fcinfo, 1, site);
	lease = pool_session_find(PG_GETARG_INT64(0));
	if (lease->has_request)
		pool_request_run_poll(); /* it may be done by now */
	result = pool_result_create(fcinfo, mode,
								NameStr(lease->target.server_name), site);
	pool_lease_run(lease, statement, result);
	pool_result_finish(result);
	pool_call_site_leave(site);
	return result;
}

Datum
pool_sql_query_server(PG_FUNCTION_ARGS)
{
	run_on_server(fcinfo, POOL_RESULT_ROWS);
	return (Datum) 0;
}

Datum
pool_sql_query_lease(PG_FUNCTION_ARGS)
{
	run_on_lease(fcinfo, POOL_RESULT_ROWS);
	return (Datum) 0;
}

Datum
pool_sql_query_json_server(PG_FUNCTION_ARGS)
{
	run_on_server(fcinfo, POOL_RESULT_JSON);
	return (Datum) 0;
}

Datum
pool_sql_query_json_lease(PG_FUNCTION_ARGS)
{
	run_on_lease(fcinfo, POOL_RESULT_JSON);
	return (Datum) 0;
}

Datum
pool_sql_exec_server(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(
		pool_result_affected(run_on_server(fcinfo, POOL_RESULT_COUNT)));
}

Datum
pool_sql_exec_lease(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(
		pool_result_affected(run_on_lease(fcinfo, POOL_RESULT_COUNT)));
}

/* Leases a connection; returns the lease's number. */
Datum
pool_sql_acquire(PG_FUNCTION_ARGS)
{
	char *server = pool_args_server(fcinfo);
	int64 timeout_ms = pool_args_interval(fcinfo, 1, "timeout");
	bool hold = !PG_ARGISNULL(2) && PG_GETARG_BOOL(2);
	PoolLease *lease;

	lease = pool_session_lease(server,
							   hold ? POOL_LEASE_HOLD : POOL_LEASE_TRANSACTION,
							   timeout_ms);
	PG_RETURN_INT64(lease->id);
}

/* Ends a lease. */
Datum
pool_sql_release(PG_FUNCTION_ARGS)
{
	PoolLease *lease;

	pool_args_refuse_null(fcinfo, 0, "lease");
	lease = pool_session_find(PG_GETARG_INT64(0));
	pool_lease_refuse_if_running(lease);
	pool_requests_forget_lease(lease->id);
	pool_session_release(lease);
	PG_RETURN_VOID();
}
