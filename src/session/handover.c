/*
 * handover.c
 *		What a session asks of the worker: a connection's descriptor, or to
 *		connect in a certain way.
 *
 * The worker receives on a datagram socket inside the data directory.  A
 * session makes a socket pair and sends one end of it along with its request;
 * the worker answers over that end and closes it.  So the answer can reach
 * nobody but the process that asked, the worker keeps no state for those who
 * ask and cannot be held up by one, and the end of the worker shows at once
 * as the end of the pair, even for a request that it had not yet read.
 *
 * The kernel tells the worker the sender's pid (SCM_CREDENTIALS); it must be
 * that of the slot's owner.  Requests to connect travel here as well, because
 * they carry passwords, which must not be seen in shared memory.
 *
 * No locks are held here.
 */
#include "postgres.h"

#include <sys/un.h>
#include <unistd.h>

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "storage/latch.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/wait_event.h"
#include "session/handover.h"
#include "shared/queue.h"
#include "shared/self.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/stats.h"
#include "shared/wire.h"

/* One request and its answer. */
typedef struct Exchange
{
	Pool *pool;
	int worker; /* its number */
	int64 deadline;
	int sock;			 /* to the worker's address */
	int mine;			 /* this session's end of the pair */
	volatile int theirs; /* the worker's; -1: closed here (within PG_TRY) */

	/* The answer. */
	PoolReply reply;	  /* status 0: there was none */
	const char **strings; /* NULL: there are none, or the answer is malformed */
	volatile int fd;	  /* -1: none came with it, else the caller closes it */

	/* The slot that is leased meanwhile, which is POOL_NONE when it is no more. */
	int *leased;
	uint64 generation;
	int64 give_way_at; /* pool_clock_us() */
} Exchange;

/*
 * How long a session keeps a slot that others wait for while the worker does not
 * answer, in milliseconds; they may need no worker.  It is twice as long each
 * time, so that a worker which is only slow serves everybody in the end.
 */
#define FIRST_PATIENCE_MS 500
#define MAX_PATIENCE_MS 8000

static int patience_ms = FIRST_PATIENCE_MS;

/*
 * The worker has not answered for some time: releases the slot, if others wait
 * for it.  The answer will be that the worker does not hand it over, and the
 * caller acquires again.  From here on it is not this lease's: it may be that of
 * another request of this very session.
 */
static void
give_way(Exchange *exchange)
{
	int slot = *exchange->leased;
	int place = pool_shmem_slots[slot].pool;
	Pool *pool;
	bool wanted;

	exchange->give_way_at = pool_clock_after_ms(patience_ms);
	if (place == POOL_NONE)
		return; /* reclaimed and closed meanwhile */
	pool = &pool_shmem_pools[place];
	LWLockAcquire(&pool->lock, LW_SHARED);
	wanted = pool->nwaiting > 0;
	LWLockRelease(&pool->lock);
	if (!wanted)
		return;
	*exchange->leased = POOL_NONE;
	pool_queue_release(slot, exchange->generation, POOL_CONDITION_UNTOUCHED,
					   POOL_CLOSE_NONE, NULL);
	patience_ms = Min(patience_ms * 2, MAX_PATIENCE_MS);
}

/* The time is over: no connection can be had of the pool. */
static void
count_failure(const Exchange *exchange)
{
	pool_stats_add(&exchange->pool->stats, POOL_COUNT_ACQUIRE_FAILURES, 1);
}

/*
 * Waits for the socket or the latch; the caller looks at what it waits for, and
 * waits again.  Raises 08001 after the deadline, which there always is.
 */
static void
wait_for_worker(Exchange *exchange, int sock, uint32 event)
{
	long left = pool_clock_left_ms(exchange->deadline);
	int rc;

	if (*exchange->leased != POOL_NONE)
	{
		if (pool_clock_us() >= exchange->give_way_at)
			give_way(exchange);
		left = Min(left, Max(1, pool_clock_left_ms(exchange->give_way_at)));
	}
	if (left == 0)
	{
		count_failure(exchange);
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("pool worker is not responding"),
				 errhint("See the server log, and look in pg_stat_activity "
						 "for backend_type \"pool worker\".")));
	}
	rc = WaitLatchOrSocket(MyLatch,
						   WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH |
							   event,
						   sock, left, pool_wait_event(POOL_WAIT_CONNECT));
	POOL_FAULT_POINT(fetch_woken);
	if (rc & WL_LATCH_SET)
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

static void
raise_not_running(const Exchange *exchange)
{
	count_failure(exchange);
	ereport(ERROR, (errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					errmsg("pool worker is not running"),
					errdetail("It is restarted within a second."),
					errhint("If it is not, see the server log, "
							"and check max_worker_processes.")));
}

/*
 * Sends the request; waits for a worker if none is running just now.  On
 * return the worker's end of the pair is in flight and closed here.
 */
static void
send_request(Exchange *exchange, const void *data, size_t len)
{
	struct sockaddr_un address;

	pool_wire_address(exchange->worker, &address);
	ConditionVariablePrepareToSleep(&pool_shmem->worker_started);
	for (;;)
	{
		if (connect(exchange->sock, (struct sockaddr *) &address,
					sizeof(address)) == 0 &&
			pool_wire_send(exchange->sock, data, len, exchange->theirs) ==
				(ssize_t) len)
			break;
		if (errno == EAGAIN || errno == ENOBUFS)
			wait_for_worker(exchange, exchange->sock, WL_SOCKET_WRITEABLE);
		else if (errno == ECONNREFUSED || errno == ENOENT)
		{
			long left = pool_clock_left_ms(exchange->deadline);

			if (left == 0)
				raise_not_running(exchange);
			ConditionVariableTimedSleep(&pool_shmem->worker_started, left,
										pool_wait_event(POOL_WAIT_CONNECT));
		}
		else if (errno != EINTR)
			ereport(ERROR, (errcode_for_socket_access(),
							errmsg("could not send to the pool worker: %m")));
	}
	ConditionVariableCancelSleep();
}

/*
 * Waits for the answer on this session's end of the pair, which is "size" bytes
 * at most.  Returns its length, 0 if the worker ended without one.
 */
static size_t
await_answer(Exchange *exchange, char *answer, size_t size)
{
	struct ucred peer;
	ssize_t got;
	int fd;

	while ((got = pool_wire_receive(exchange->mine, answer, size, &fd, &peer)) <
		   0)
	{
		if (errno == EMFILE || errno == EPROTO)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
					 errmsg(
						 "could not receive a descriptor from the pool worker: %m"),
					 errdetail("The session may have too many open files.")));
		if (errno != EAGAIN && errno != EINTR)
			return 0; /* ECONNRESET: the request was never read */
		wait_for_worker(exchange, exchange->mine, WL_SOCKET_READABLE);
	}
	exchange->fd = fd;
	return (size_t) got;
}

/* Takes an answer of that length apart; the strings stay in it. */
static void
read_answer(Exchange *exchange, const char *answer, size_t len)
{
	PoolReply *reply = &exchange->reply;

	if (len < sizeof(*reply))
		return;
	memcpy(reply, answer, sizeof(*reply));
	exchange->strings = pool_wire_strings(answer + sizeof(*reply),
										  len - sizeof(*reply), reply->nstrings);
}

/* Makes the sockets.  Raises what the system's error stands for. */
static void
begin_exchange(Exchange *exchange)
{
	int pair[2];

	exchange->sock =
		socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (exchange->sock < 0 ||
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0,
				   pair) < 0)
	{
		int save_errno = errno;

		if (exchange->sock >= 0)
			close(exchange->sock);
		errno = save_errno;
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not create a socket for the pool worker: %m")));
	}
	exchange->mine = pair[0];
	exchange->theirs = pair[1];
}

/*
 * Closes what begin_exchange() made.  The latch may have been set for something else
 * that this session waits for; so it is set again.
 */
static void
end_exchange(Exchange *exchange)
{
	SetLatch(MyLatch);
	close(exchange->sock);
	close(exchange->mine);
	if (exchange->theirs >= 0)
		close(exchange->theirs);
}

/*
 * Sends a request and waits for the answer; the caller has set the exchange's
 * worker, deadline and slot.  A descriptor that came with it is the caller's,
 * unless an error is raised.
 */
static pg_noinline void
ask_worker(Exchange *exchange, const StringInfo request)
{
	char *answer = palloc(POOL_REPLY_MAX);

	exchange->fd = -1;
	exchange->give_way_at = pool_clock_after_ms(patience_ms);
	begin_exchange(exchange);
	PG_TRY();
	{
		size_t len;

		POOL_FAULT_POINT(fetch_begin);
		send_request(exchange, request->data, request->len);
		close(exchange->theirs);
		exchange->theirs = -1;
		POOL_FAULT_POINT(fetch_sent);
		len = await_answer(exchange, answer, POOL_REPLY_MAX);
		POOL_FAULT_POINT(fetch_answered);
		read_answer(exchange, answer, len);
		POOL_FAULT_POINT(fetch_received);
	}
	PG_CATCH();
	{
		end_exchange(exchange);
		if (exchange->fd >= 0)
			close(exchange->fd);
		PG_RE_THROW();
	}
	PG_END_TRY();
	end_exchange(exchange);
}

/*
 * Fetches the descriptor of the slot *leased, which is leased to this session, and
 * what libpq learnt when the connection was made.  Returns false if the worker
 * does not have that connection (it ended, or was restarted), or if the slot was
 * released meanwhile because the worker was slow and others waited.  Then *leased is
 * POOL_NONE, also if an error is raised.  The deadline is in pool_clock_us(); raises
 * 08001 after it, which counts as an acquire that failed, and 53000 when the
 * session cannot open one more descriptor.
 */
bool
pool_handover_fetch(int *leased, uint64 generation, int64 deadline,
					PoolHandover *handover)
{
	int slot = *leased;
	PoolMessage message = {.kind = POOL_MESSAGE_FETCH,
						   .sender = *pool_self(),
						   .slot = slot,
						   .generation = generation};
	Exchange exchange = {.deadline = deadline,
						 .leased = leased,
						 .generation = generation};
	int pool = pool_shmem_slots[slot].pool;
	StringInfoData data;
	const PoolReply *reply = &exchange.reply;

	if (pool == POOL_NONE)
		return false; /* reclaimed and closed meanwhile */
	initStringInfo(&data);
	appendBinaryStringInfo(&data, (char *) &message, sizeof(message));
	exchange.pool = &pool_shmem_pools[pool];
	exchange.worker = pool_worker_number(exchange.pool);
	ask_worker(&exchange, &data);
	if (reply->status != 0 && *leased != POOL_NONE)
	{
		patience_ms = FIRST_PATIENCE_MS;
		if (reply->status == POOL_REPLY_OK && exchange.fd >= 0 &&
			exchange.strings != NULL)
		{
			handover->fd = exchange.fd;
			handover->remote_pid = reply->remote_pid;
			handover->nstrings = reply->nstrings;
			handover->strings = exchange.strings;
			return true;
		}
	}
	if (exchange.fd >= 0)
		close(exchange.fd);
	return false;
}

/* Bytes of the message with these parameters. */
static size_t
message_len(const PoolConninfo *conninfo)
{
	size_t len = sizeof(PoolMessage);

	for (int i = 0; i < conninfo->count; i++)
		len += strlen(conninfo->keywords[i]) + strlen(conninfo->values[i]) + 2;
	return len;
}

/*
 * Tells the worker how the pool's connections are to be made.  Returns false
 * if the pool is gone or the worker ended meanwhile.  The deadline is in
 * pool_clock_us(); raises 08001 after it, counted as above, and 54000 for options
 * that are too long for a message.
 */
bool
pool_handover_configure(Pool *pool, uint64 pool_id, const PoolTarget *target,
						const PoolConninfo *conninfo, int64 deadline)
{
	PoolMessage message = {.kind = POOL_MESSAGE_CONFIGURE,
						   .sender = *pool_self(),
						   .pool = pool_index(pool),
						   .pool_id = pool_id,
						   .target = *target,
						   .nstrings = conninfo->count * 2};
	int none = POOL_NONE;
	Exchange exchange = {.pool = pool,
						 .worker = pool_worker_number(pool),
						 .deadline = deadline,
						 .leased = &none};
	StringInfoData data;
	size_t len = message_len(conninfo);

	if (len > POOL_MESSAGE_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("connection options of server \"%s\" are too long",
						NameStr(target->server_name)),
				 errdetail("They have %zu bytes, and at most %d can be used.",
						   len, POOL_MESSAGE_MAX)));

	initStringInfo(&data);
	enlargeStringInfo(&data, (int) len); /* so that it does not move */
	appendBinaryStringInfo(&data, (char *) &message, sizeof(message));
	for (int i = 0; i < conninfo->count; i++)
	{
		appendBinaryStringInfo(&data, conninfo->keywords[i],
							   strlen(conninfo->keywords[i]) + 1);
		appendBinaryStringInfo(&data, conninfo->values[i],
							   strlen(conninfo->values[i]) + 1);
	}

	PG_TRY();
	{
		ask_worker(&exchange, &data);
	}
	PG_FINALLY();
	{
		explicit_bzero(data.data, data.maxlen); /* it holds the password */
	}
	PG_END_TRY();
	if (exchange.fd >= 0)
		close(exchange.fd);
	return exchange.reply.status == POOL_REPLY_OK;
}
