/*
 * spin.c
 *		For 115_spin.pl: src/session/spin.c with a clock, a socket and a processor of
 *		its own, so that what it does depends on nothing else.
 *
 * Prints a line for each case: its name, what pool_spin_is_ready() returned, how often
 * the socket was looked at, how often the processor was yielded, and how much time
 * has passed.
 */
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <time.h>

#define clock_gettime test_clock_gettime
#define poll test_poll
#define sched_yield test_sched_yield

static int test_clock_gettime(clockid_t clock, struct timespec *now);
static int test_poll(struct pollfd *fds, nfds_t nfds, int timeout);
static int test_sched_yield(void);

#include "../../src/session/spin.c"

/* That of the C library, since the server's is not linked. */
#undef printf

double pool_guc_spin_time = 0.1;
volatile sig_atomic_t InterruptPending = false;

static long time_us = 1000000;
static long answer_at; /* when the socket is ready */
static int yield_us;   /* what others take of the processor */
static int interrupt_at_look;
static TimestampTz statement = 1;
static int looks;
static int yields;

static int
test_clock_gettime(clockid_t clock, struct timespec *now)
{
	now->tv_sec = time_us / 1000000;
	now->tv_nsec = time_us % 1000000 * 1000;
	return 0;
}

static int
test_poll(struct pollfd *fds, nfds_t nfds, int timeout)
{
	if (nfds != 1 || fds->fd != 7 || fds->events != POLLIN || timeout != 0)
		printf("wrong: what is looked at\n");
	time_us++;
	if (++looks == interrupt_at_look)
		InterruptPending = true;
	return time_us >= answer_at;
}

static int
test_sched_yield(void)
{
	yields++;
	time_us += yield_us;
	return 0;
}

TimestampTz
GetCurrentStatementStartTimestamp(void)
{
	return statement;
}

/* One wait for an answer that comes after so many microseconds. */
static void
wait_for(const char *name, int answer_us, int64 deadline_us)
{
	long start = time_us;
	bool ready;

	looks = yields = 0;
	answer_at = start + answer_us;
	ready = pool_spin_is_ready(7, POLLIN, start + deadline_us);
	printf("%s: %s, looks %d, yields %d, us %ld\n", name,
		   ready ? "ready" : "not ready", looks, yields, time_us - start);
}

/* The waits after one that was of no use, and the next one. */
static void
pause_over(void)
{
	int waits = 0;

	do
	{
		looks = 0;
		answer_at = 0;
		(void) pool_spin_is_ready(7, POLLIN, PG_INT64_MAX);
		waits++;
	} while (looks == 0 && waits < 1000);
	printf("pause: %d\n", waits - 1);
}

int
main(void)
{
	const int64 far = 1000000;

	wait_for("first", 30, far);
	wait_for("second", 30, far);
	wait_for("third", 0, far);
	wait_for("late", 1000, far);
	pause_over();
	wait_for("after the pause", 30, far);
	wait_for("deadline", 1000, 40);
	pause_over();

	yield_us = 50;
	wait_for("others", 300, far);
	pause_over();
	wait_for("answered meanwhile", 45, far);
	wait_for("answered meanwhile, again", 45, far);
	yield_us = 0;

	interrupt_at_look = 5;
	wait_for("interrupt", 30, far);
	wait_for("interrupted before", 0, far);
	interrupt_at_look = 0;
	InterruptPending = false;
	wait_for("after the interrupt", 30, far);

	statement++;
	wait_for("next statement", 30, far);
	wait_for("next statement, second", 30, far);
	pool_guc_spin_time = 0;
	wait_for("off", 0, far);
	pool_guc_spin_time = 0.02;
	wait_for("shorter", 30, far);
	return 0;
}
