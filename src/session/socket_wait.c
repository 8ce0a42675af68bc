/*
 * socket_wait.c
 *		Waiting for the socket of a leased connection.
 *
 * All sessions that have a copy of a connection share one socket, and whatever
 * is in its wait queue is called at each byte that comes or goes.  So a session
 * is in that queue only while it sleeps here, which it does only as the holder:
 * by ppoll(), where an epoll set, such as a WaitEventSet is made of, would stay
 * in the queue for as long as the session has its copy.
 *
 * A WaitEventSet also has the latch in it.  That is set by handlers of signals,
 * which do the same for this wait: they are blocked while it looks whether there
 * is something to do, and let through by ppoll() alone, which they end.  A latch
 * that is set without a signal does not end this wait, and must not be counted on.
 */
#include "postgres.h"

#include <poll.h>
#include <signal.h>

#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/pmsignal.h"

#include "base/clock.h"
#include "base/fault.h"
#include "session/socket_wait.h"
#include "session/spin.h"

/* Waits instead, if this session has requests to move on meanwhile; or NULL. */
PoolSocketWaiter pool_socket_wait_other = NULL;

/* Sleeps until the socket is ready, a signal comes, or the deadline. */
static void
sleep_once(int sock, int events, int64 left_us)
{
	struct pollfd socket = {.fd = sock, .events = (short) events};
	struct timespec timeout = {.tv_sec = left_us / USECS_PER_SEC,
							   .tv_nsec = left_us % USECS_PER_SEC * 1000};
	sigset_t mask;

	POOL_FAULT_POINT(wait_begin);
	sigprocmask(SIG_SETMASK, &BlockSig, &mask);
	if (PostmasterIsAlive() &&
		!(InterruptPending && INTERRUPTS_CAN_BE_PROCESSED()))
	{
		POOL_FAULT_POINT(wait_blocked);
		(void) ppoll(&socket, 1, left_us == PG_INT64_MAX ? NULL : &timeout,
					 &mask);
	}
	sigprocmask(SIG_SETMASK, &mask, NULL);
}

/*
 * Waits until the socket is ready for one of the events, of poll(), or
 * something else may have happened; the caller looks at what it waits for, and
 * waits again.  Interrupts are taken here, and the session ends with the
 * postmaster.  Returns false when the deadline, in pool_clock_us(), had come
 * before.
 */
bool
pool_socket_wait(int sock, int events, int64 deadline, PoolWaitEvent wait)
{
	int64 left = PG_INT64_MAX;

	if (pool_socket_wait_other != NULL)
		return pool_socket_wait_other(sock, events, deadline, wait);
	if (deadline != PG_INT64_MAX)
		left = deadline - pool_clock_us();
	if (left <= 0)
		return false;
	if (!pool_spin_is_ready(sock, events, deadline))
	{
		pgstat_report_wait_start(pool_wait_event(wait));
		sleep_once(sock, events, left);
		pgstat_report_wait_end();
	}
	if (!PostmasterIsAlive())
		proc_exit(1);
	CHECK_FOR_INTERRUPTS();
	return true;
}

/*
 * Waits until the latch was set, or until, in pool_clock_us(); may return early.
 * Interrupts are taken here, and the session ends with the postmaster.
 */
void
pool_socket_wait_latch(int64 until, PoolWaitEvent wait)
{
	if (pool_socket_wait_other != NULL)
	{
		(void) pool_socket_wait_other(PGINVALID_SOCKET, 0, until, wait);
		return;
	}
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 pool_clock_left_ms(until), pool_wait_event(wait));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}
