/*
 * fault.c
 *		Points where a test has a process fail; see fault.h.
 *
 * A cancel and the end of the session are signals of the process to itself, so
 * that they come the way that they always do.  What is said here is written to
 * standard error at once, which allocates nothing and takes no interrupts.
 */
#include "postgres.h"

#ifdef POOL_FAULT_POINTS

#include <signal.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "base/fault.h"

typedef enum Process
{
	SESSION,
	WORKER,
	START
} Process;

typedef enum Kind
{
	RAISES,
	QUIET,
	SILENT
} Kind;

typedef enum Action
{
	ACTION_ERROR,
	ACTION_CANCEL,
	ACTION_TERMINATE,
	ACTION_CRASH,
	ACTION_STOP
} Action;

/* The value of the setting, as the check hook has read it. */
typedef struct Armed
{
	int point; /* -1: none */
	Action action;
	int n;
} Armed;

static const struct
{
	const char *name;
	const char *process;
	const char *kind;
	Process comes;
	Kind may;
} points[] = {
#define DESCRIBE(name, process, kind) {#name, #process, #kind, process, kind},
	POOL_FAULT_LIST(DESCRIBE)
#undef DESCRIBE
};

static const struct
{
	const char *name;
	int signal;
} actions[] = {[ACTION_ERROR] = {"error", 0},
			   [ACTION_CANCEL] = {"cancel", SIGINT},
			   [ACTION_TERMINATE] = {"terminate", SIGTERM},
			   [ACTION_CRASH] = {"crash", SIGKILL},
			   [ACTION_STOP] = {"stop", SIGSTOP}};

bool pool_fault_unwanted = false;

static char *setting = NULL;
static char *list = NULL;
static Armed armed = {.point = -1};
static int armed_in = 0; /* pid */
static int times = 0;

static bool
is_worker(void)
{
	return MyBgworkerEntry != NULL &&
		   strcmp(MyBgworkerEntry->bgw_type, "pool worker") == 0;
}

static bool
is_point_of_this_process(int point)
{
	if (points[point].comes == SESSION)
		return MyBackendType == B_BACKEND;
	return is_worker();
}

/* Reads "name action [n]". */
static bool
parse(const char *value, Armed *result)
{
	char name[64];
	char action[16];
	int given;

	result->point = -1;
	result->n = 1;
	if (value[0] == '\0')
		return true;
	given = sscanf(value, "%63s %15s %d", name, action, &result->n);
	if (given < 2 || result->n < 1)
		return false;
	for (int i = 0; i < (int) lengthof(points); i++)
	{
		if (strcmp(points[i].name, name) == 0)
			result->point = i;
	}
	for (int i = 0; i < (int) lengthof(actions); i++)
	{
		if (result->point >= 0 && strcmp(actions[i].name, action) == 0)
		{
			result->action = (Action) i;
			return result->action != ACTION_ERROR ||
				   points[result->point].may != SILENT;
		}
	}
	return false;
}

static bool
check_setting(char **value, void **extra, GucSource source)
{
	Armed read;

	if (!parse(*value, &read))
	{
		GUC_check_errdetail(
			"It is \"name action [n]\", and pool.fault_points has the names.");
		return false;
	}
	return true;
}

static void
assign_setting(const char *value, void *extra)
{
	(void) parse(value, &armed);
	armed_in = MyProcPid;
	times = 0;
	if (armed.point >= 0 && is_point_of_this_process(armed.point))
		dprintf(STDERR_FILENO, "fault point \"%s\" is armed in process %d\n",
				value, MyProcPid);
}

/* Defines the settings.  Called in the postmaster. */
void
pool_fault_init(void)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < (int) lengthof(points); i++)
		appendStringInfo(&names, "%s%s %s %s", i > 0 ? ", " : "",
						 points[i].name, points[i].process, points[i].kind);
	MemoryContextSwitchTo(old);
	DefineCustomStringVariable("pool.fault_point",
							   "Has a process fail at a point, for a test.",
							   NULL, &setting, "", PGC_SUSET, GUC_NOT_IN_SAMPLE,
							   check_setting, assign_setting, NULL);
	DefineCustomStringVariable("pool.fault_points",
							   "Lists the points, which process comes there, and how.",
							   NULL, &list, names.data, PGC_INTERNAL,
							   GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
	DefineCustomBoolVariable("pool.fault_unwanted",
							 "Has nobody want what a session leaves unfinished.",
							 NULL, &pool_fault_unwanted, false, PGC_SUSET,
							 GUC_NOT_IN_SAMPLE, NULL, NULL, NULL);
}

/* The process has come to that point: fails there, if that is wanted. */
void
pool_fault_reach(PoolFaultPoint point)
{
	if (armed.point != (int) point || !is_point_of_this_process(point) ||
		(armed_in != MyProcPid && points[point].comes != START) ||
		++times != armed.n)
		return;
	dprintf(STDERR_FILENO, "fault point \"%s %s\" is reached in process %d\n",
			points[point].name, actions[armed.action].name, MyProcPid);
	if (armed.action != ACTION_ERROR)
		(void) kill(MyProcPid, actions[armed.action].signal);
	else
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("fault point \"%s\" was reached", points[point].name)));
}

#endif
