/*
 * spin.c
 *		Looking for an answer for a moment, instead of sleeping.
 *
 * A statement that asks a remote nearby again and again, in a LATERAL join or in a
 * loop of PL/pgSQL, would sleep for each answer; and to wake a processor that has
 * nothing else to do takes longer than the answer.  So from its second wait on such
 * a statement looks for the answer for up to pool.spin_time before it sleeps.
 *
 * It must not take a processor from those who have something to do.  So after each
 * look it yields the processor, and if somebody else had it then, which the time
 * tells, it sleeps: this time and the PAUSE next ones.  The same if the answer takes
 * longer than pool.spin_time, since the next ones will, too.
 *
 * All here is this process's own.
 */
#include "postgres.h"

#include <poll.h>
#include <sched.h>

#include "access/xact.h"
#include "miscadmin.h"

#include "base/clock.h"
#include "base/guc.h"
#include "session/spin.h"

/* What a look takes at most, in microseconds, if nobody else had the processor. */
#define LOOK_US 10

/* How many waits are without a look after one that was of no use. */
#define PAUSE 16

static struct
{
	TimestampTz statement; /* of the last wait: when it began */
	int pause;			   /* so many waits are to come without a look */
} habit;

/* Does the statement wait for the second time at least, and is it to look? */
static bool
is_to_look(void)
{
	TimestampTz statement = GetCurrentStatementStartTimestamp();

	if (statement != habit.statement)
	{
		habit.statement = statement;
		return false;
	}
	if (habit.pause > 0)
	{
		habit.pause--;
		return false;
	}
	return pool_guc_spin_time > 0;
}

/*
 * Looks whether the socket is ready for one of the events, of poll(), for up to
 * pool.spin_time and until the deadline, in pool_clock_us(), if this is a time to do
 * so.  Returns false if it was not seen to be ready: then the caller sleeps.  Takes
 * no interrupts, and returns when there is one.
 */
bool
pool_spin_is_ready(int sock, int events, int64 deadline)
{
	struct pollfd socket = {.fd = sock, .events = (short) events};
	int64 now, end;

	if (!is_to_look())
		return false;
	now = pool_clock_us();
	end = Min(now + (int64) (pool_guc_spin_time * POOL_CLOCK_US_PER_MS),
			  deadline);
	while (!InterruptPending)
	{
		int64 before = now;

		if (poll(&socket, 1, 0) != 0)
			return true;
		now = pool_clock_us();
		if (now >= end || now - before > LOOK_US)
		{
			habit.pause = PAUSE;
			break;
		}
		(void) sched_yield();
	}
	return false;
}
