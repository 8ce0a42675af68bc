/*
 * fuzz.c
 *	  Runs a fuzz target within a backend.
 *
 * The targets call the extension's functions as they are, so these need a memory
 * context, errors, catalogs, shared memory.  A backend has all that: run.sh starts
 * one without a postmaster, the extension is loaded at its start, and this is a
 * function of SQL that hands control to libFuzzer, which ends the process.
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "targets.h"

extern int LLVMFuzzerRunDriver(int *argc, char ***argv,
							   int (*callback)(const uint8 *data, size_t size));

PG_FUNCTION_INFO_V1(pool_fuzz);
Datum pool_fuzz(PG_FUNCTION_ARGS);

static const FuzzTarget *target;

/* One input.  An error is well, but for one that means that something is broken. */
static int
run_input(const uint8 *data, size_t size)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "fuzz", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	volatile int sqlstate = 0;

	PG_TRY();
	{
		target->run(data, size);
	}
	PG_CATCH();
	{
		sqlstate = geterrcode();
		MemoryContextSwitchTo(context);
		if (sqlstate == ERRCODE_INTERNAL_ERROR)
			fprintf(stderr, "internal error: %s\n", CopyErrorData()->message);
		FlushErrorState();
		LWLockReleaseAll();
		InterruptHoldoffCount = 0;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	FUZZ_EXPECT(sqlstate != ERRCODE_INTERNAL_ERROR);
	FUZZ_EXPECT(CritSectionCount == 0);
	return 0;
}

/* pool_fuzz(target, options): with the options of libFuzzer, a space between */
Datum
pool_fuzz(PG_FUNCTION_ARGS)
{
	char *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *options = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char *arguments[32] = {name};
	char **argv = arguments;
	int argc = 1;

	for (target = fuzz_targets; target->name && strcmp(target->name, name) != 0; target++)
		;
	if (target->name == NULL)
		elog(ERROR, "there is no target %s", name);
	for (char *word = strtok(options, " "); word && argc < 31; word = strtok(NULL, " "))
		arguments[argc++] = word;
	if (target->prepare)
		target->prepare();
	SetConfigOption("log_min_messages", "panic", PGC_SUSET, PGC_S_SESSION);
	LLVMFuzzerRunDriver(&argc, &argv, run_input);
	PG_RETURN_VOID();
}
