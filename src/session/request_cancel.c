/*
 * request_cancel.c
 *		Cancelling a request, whose answer is still wanted.
 *
 * Unlike an abandoned one it goes on to its end, and has the remote's error 57014 then
 * or, if the cancel came too late, its result; a lease that the session holds has its
 * connection still.
 *
 * The session orders the cancel and waits until the worker says that the remote has
 * acted on it.  So no statement that it sends later is hit.  From the order on the
 * connection serves this lease alone (shared/cancel_order.c).
 */
#include "postgres.h"

#include "base/clock.h"
#include "base/fault.h"
#include "session/request_cancel.h"
#include "session/request_run.h"
#include "shared/cancel_order.h"

/* How long the worker may take, in milliseconds: it has a shorter time-out itself. */
#define TIMEOUT_MS 10000

/* How often to look whether the worker has ended, which wakes nobody. */
#define LOOK_MS 1000

/* An order that was placed. */
typedef struct Ordered
{
	int slot; /* of the request's lease, which may end meanwhile */
	uint64 generation;
	PoolCancelOrder order;
} Ordered;

/*
 * Is the whole statement at the remote, or nothing of it?  A cancel that comes before
 * its end is for nothing.
 */
static bool
is_sent(void *arg)
{
	const PoolRequest *request = arg;
	const PoolRun *run = &request->run.run;

	return request->state != POOL_REQUEST_RUNNING ||
		   (run->sent && PQflush(run->copy->pg) <= 0);
}

/* Is the worker done with the order, or has the lease ended? */
static bool
is_over(void *arg)
{
	Ordered *ordered = arg;

	ordered->order = pool_cancel_order_look(ordered->slot, ordered->generation);
	return ordered->order != POOL_CANCEL_ORDER_PLACED &&
		   ordered->order != POOL_CANCEL_ORDER_TAKEN;
}

/* Raises what the remote would have said. */
static void
raise_canceled(void *arg)
{
	ereport(ERROR, (errcode(ERRCODE_QUERY_CANCELED),
					errmsg("canceling statement due to user request"),
					errdetail("It was waiting for a connection.")));
}

/*
 * Has the remote cancel what the request does; one that has no connection fails as if
 * it had, and one that is done stays as it is.  Returns false if the remote could not
 * be told, and the request goes on.
 *
 * The connection is closed when its lease ends.  Moves requests on, and raises what
 * pool_request_run_until() does; after that the remote may still be told.
 */
bool
pool_request_cancel(PoolRequest *request)
{
	Ordered ordered;
	int64 deadline;

	(void) pool_request_run_until(is_sent, request, PG_INT64_MAX);
	if (request->state == POOL_REQUEST_WAITING)
	{
		pool_request_stop(request);
		pool_request_fail(request, raise_canceled);
	}
	if (pool_request_is_done(request))
		return true;
	ordered.slot = request->lease->request.slot;
	ordered.generation = request->lease->request.generation;
	if (!pool_cancel_order_place(ordered.slot, ordered.generation))
		return false;
	POOL_FAULT_POINT(cancel_placed);
	deadline = pool_clock_after_ms(TIMEOUT_MS);
	while (!pool_request_run_until(is_over, &ordered,
								   pool_clock_after_ms(LOOK_MS)) &&
		   pool_clock_us() < deadline)
		;
	POOL_FAULT_POINT(cancel_finished);
	return ordered.order == POOL_CANCEL_ORDER_SENT ||
		   pool_request_is_done(request);
}
