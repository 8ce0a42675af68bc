/*
 * pool_bench.c
 *		Functions that the measurements need in the local server.
 *
 * bench_row() is the least that a set-returning function can do; its time is part
 * of the floor that pool is compared with.  bench_lease() takes the time of each
 * pool_acquire() and pool_release() on its own, by the functions that SQL calls,
 * without SQL around them.
 *
 * No locking: all of it is of the session.
 */
#include "postgres.h"

#include <time.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(bench_row);
PG_FUNCTION_INFO_V1(bench_lease);

typedef struct LeaseCalls
{
	FmgrInfo acquire;
	FmgrInfo release;
	Datum server;
} LeaseCalls;

/* One row: the name that the item of this number has. */
Datum
bench_row(PG_FUNCTION_ARGS)
{
	FuncCallContext *context;

	if (SRF_IS_FIRSTCALL())
		SRF_FIRSTCALL_INIT();
	context = SRF_PERCALL_SETUP();
	if (context->call_cntr == 0)
	{
		char *name = psprintf("item %d", PG_GETARG_INT32(0));

		SRF_RETURN_NEXT(context, CStringGetTextDatum(name));
	}
	SRF_RETURN_DONE(context);
}

/* Finds a function as a call in SQL would. */
static void
find_function(const char *name, int nargs, const Oid *types, FmgrInfo *function)
{
	List *names = list_make1(makeString(pstrdup(name)));

	fmgr_info(LookupFuncName(names, nargs, types, false), function);
}

static int64
now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64) now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Takes and gives back one lease; returns how long that took, in ns. */
static int64
time_lease(LeaseCalls *calls)
{
	LOCAL_FCINFO(acquire, 3);
	LOCAL_FCINFO(release, 1);
	int64 start = now_ns();

	InitFunctionCallInfoData(*acquire, &calls->acquire, 3, InvalidOid, NULL,
							 NULL);
	acquire->args[0].value = calls->server;
	acquire->args[0].isnull = false;
	acquire->args[1].value = (Datum) 0;
	acquire->args[1].isnull = true;
	acquire->args[2].value = BoolGetDatum(false);
	acquire->args[2].isnull = false;

	InitFunctionCallInfoData(*release, &calls->release, 1, InvalidOid, NULL,
							 NULL);
	release->args[0].value = FunctionCallInvoke(acquire);
	release->args[0].isnull = false;
	FunctionCallInvoke(release);
	return now_ns() - start;
}

static int
compare_times(const void *a, const void *b)
{
	int64 left = *(const int64 *) a;
	int64 right = *(const int64 *) b;

	return (left > right) - (left < right);
}

/*
 * Median, 99th percentile and longest of so many leases of a server, in
 * microseconds, and what reading the clock adds to each.
 */
Datum
bench_lease(PG_FUNCTION_ARGS)
{
	const Oid acquire_types[] = {TEXTOID, INTERVALOID, BOOLOID};
	const Oid release_types[] = {INT8OID};
	int loops = PG_GETARG_INT32(1);
	int64 *taken;
	MemoryContext each =
		AllocSetContextCreate(CurrentMemoryContext, "bench_lease",
							  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller;
	LeaseCalls calls;
	TupleDesc columns;
	Datum values[4];
	bool nulls[4] = {false};
	int64 start;

	if (loops < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("number of leases must be positive")));
	taken = palloc_extended(sizeof(int64) * loops, MCXT_ALLOC_HUGE);
	if (get_call_result_type(fcinfo, NULL, &columns) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	find_function("pool_acquire", 3, acquire_types, &calls.acquire);
	find_function("pool_release", 1, release_types, &calls.release);
	calls.server = PG_GETARG_DATUM(0);

	caller = MemoryContextSwitchTo(each);
	for (int i = 0; i < loops; i++)
	{
		CHECK_FOR_INTERRUPTS();
		taken[i] = time_lease(&calls);
		MemoryContextReset(each);
	}
	start = now_ns();
	for (int i = 0; i < 1000; i++)
		(void) now_ns();
	values[3] = Float8GetDatum((now_ns() - start) / 1000.0 / 1000.0);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(each);

	qsort(taken, loops, sizeof(int64), compare_times);
	values[0] = Float8GetDatum(taken[loops / 2] / 1000.0);
	values[1] = Float8GetDatum(taken[(int) (loops * 0.99)] / 1000.0);
	values[2] = Float8GetDatum(taken[loops - 1] / 1000.0);
	PG_RETURN_DATUM(HeapTupleGetDatum(
		heap_form_tuple(BlessTupleDesc(columns), values, nulls)));
}
