/*
 * copy.c
 *		A session's copies of pooled connections.
 *
 * A copy (descriptor, PGconn, WaitEventSet) is made when the session leases a
 * slot for the first time, and kept when the lease ends, so that the next
 * lease of that slot needs nothing of the kind.  At most pool.session_cache
 * copies are kept besides those in use.  A copy whose slot was given to
 * another connection since is closed when it is come across.
 *
 * All memory here is the session's own.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "common/hashfn.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/guc.h"
#include "session/adopt.h"
#include "session/conn_cache.h"
#include "session/handover.h"
#include "shared/shmem.h"
#include "shared/slot.h"

static dlist_head copies = DLIST_STATIC_INIT(copies);

/* A change of one of these means that a statement left something behind. */
static const char *const telling_parameters[] = {"client_encoding",
												 "DateStyle",
												 "IntervalStyle",
												 "TimeZone",
												 "session_authorization",
												 "is_superuser",
												 "standard_conforming_strings",
												 "default_transaction_read_only",
												 "search_path"};

static PoolCopy *
find_copy(int slot, uint64 generation)
{
	dlist_iter iter;

	dlist_foreach (iter, &copies)
	{
		PoolCopy *copy = dlist_container(PoolCopy, node, iter.cur);

		if (copy->slot == slot && copy->generation == generation)
			return copy;
	}
	return NULL;
}

/* Has this session a copy of that connection?  Safe under a lock. */
bool
pool_conn_cache_has(int slot, uint64 generation)
{
	return find_copy(slot, generation) != NULL;
}

/* Closes the copy, without a word to the remote.  Raises nothing. */
void
pool_conn_cache_close(PoolCopy *copy)
{
	dlist_delete(&copy->node);
	if (copy->wait_set)
		FreeWaitEventSet(copy->wait_set);
	PQclear(copy->result);
	pool_adopt_discard(copy->pg);
	ReleaseExternalFD();
	pool_remote_report_drop_notices(&copy->notices);
	pfree(copy);
}

/* Closes what is out of date, and the least recently used over the limit. */
static void
prune_copies(void)
{
	dlist_mutable_iter iter;
	int kept = 0;

	dlist_foreach_modify (iter, &copies)
	{
		PoolCopy *copy = dlist_container(PoolCopy, node, iter.cur);
		uint64 now;

		if (copy->leased)
			continue;
		now = pg_atomic_read_u64(&pool_shmem_slots[copy->slot].generation);
		if (now != copy->generation || kept >= pool_guc_session_cache)
			pool_conn_cache_close(copy);
		else
			kept++;
	}
}

static void
too_many_files(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
			 errmsg("could not get a pooled connection: too many open files"),
			 errhint(
				 "Raise max_files_per_process, or lower pool.session_cache.")));
}

/* Makes the PGconn, and what is needed to wait for it. */
static PoolCopy *
make_copy(int slot, uint64 generation, PoolHandover *handover)
{
	PGconn *pg = pool_adopt(handover);
	WaitEventSet *set;
	PoolCopy *copy =
		MemoryContextAllocExtended(TopMemoryContext, sizeof(PoolCopy),
								   MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);

	if (copy == NULL)
	{
		pool_adopt_discard(pg);
		ReleaseExternalFD();
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	copy->pg = pg;
	copy->slot = slot;
	copy->generation = generation;
	copy->unproven = true;
	dlist_push_head(&copies, &copy->node);
	pool_remote_report_listen(pg, &copy->notices);
	copy->fingerprint = pool_conn_cache_fingerprint(copy);

	/* An error from here on leaves a copy that pool_conn_cache_get() closes. */
	set = pool_create_wait_set(3);
	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	copy->watched = WL_SOCKET_READABLE;
	copy->position =
		AddWaitEventToSet(set, copy->watched, PQsocket(pg), NULL, NULL);
	copy->wait_set = set;
	return copy;
}

/*
 * The session's copy of a connection that is leased to it, made if need be.
 * NULL if the worker no longer has the connection.  Raises 53000 when the
 * session is out of descriptors, and what pool_handover_fetch() does.
 */
PoolCopy *
pool_conn_cache_get(int slot, uint64 generation, int64 deadline)
{
	PoolCopy *volatile copy = find_copy(slot, generation);

	if (copy != NULL && copy->wait_set == NULL)
	{
		pool_conn_cache_close(copy); /* half made, see make_copy() */
		copy = NULL;
	}
	if (copy == NULL)
	{
		PoolHandover handover;

		pool_adopt_prepare();
		prune_copies();
		if (!AcquireExternalFD())
			too_many_files();
		PG_TRY();
		{
			if (pool_handover_fetch(slot, generation, deadline, &handover))
				copy = make_copy(slot, generation, &handover);
		}
		PG_CATCH();
		{
			if (find_copy(slot, generation) == NULL)
				ReleaseExternalFD();
			PG_RE_THROW();
		}
		PG_END_TRY();
		if (copy == NULL)
		{
			ReleaseExternalFD();
			return NULL;
		}
	}
	copy->leased = true;
	return copy;
}

/*
 * The lease is over; the copy is kept for the next one.  But when a statement
 * changed what the remote reports, the report of the reset goes to whoever
 * does it, and this PGconn would never know: then the copy is closed.  So it is
 * after a very wide row, since libpq never gives that memory back.
 */
void
pool_conn_cache_keep(PoolCopy *copy, bool left_state)
{
	if (copy->bulky ||
		(left_state && pool_conn_cache_fingerprint(copy) != copy->fingerprint))
	{
		pool_conn_cache_close(copy);
		return;
	}
	copy->leased = false;
	dlist_move_head(&copies, &copy->node);
	prune_copies();
}

/*
 * Is there nothing to read and the connection open?  Before a statement is
 * sent there must not be a byte on the socket: it would be from before.
 */
bool
pool_conn_cache_is_quiet(const PoolCopy *copy)
{
	char byte;

	return PQstatus(copy->pg) == CONNECTION_OK &&
		   recv(PQsocket(copy->pg), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
		   (errno == EAGAIN || errno == EWOULDBLOCK);
}

/*
 * Waits until the socket is ready, or until the latch is set and there was no
 * reason to give up (interrupts are taken here).  Returns false when the
 * deadline, in pool_clock_us(), has come.
 */
bool
pool_conn_cache_wait(PoolCopy *copy, uint32 events, int64 deadline,
					 PoolWaitEvent wait)
{
	WaitEvent event;
	long timeout = -1;

	if (deadline != PG_INT64_MAX)
	{
		int64 left = deadline - pool_clock_us();

		if (left <= 0)
			return false;
		timeout = (long) Min((left + 999) / 1000, INT_MAX);
	}
	if (events != copy->watched)
	{
		ModifyWaitEvent(copy->wait_set, copy->position, events, NULL);
		copy->watched = events;
	}
	if (WaitEventSetWait(copy->wait_set, timeout, &event, 1,
						 pool_wait_event(wait)) == 1 &&
		(event.events & WL_LATCH_SET))
	{
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/* A number that changes when one of the telling parameters does. */
uint64
pool_conn_cache_fingerprint(const PoolCopy *copy)
{
	uint64 hash = 0;

	for (int i = 0; i < (int) lengthof(telling_parameters); i++)
	{
		const char *value = PQparameterStatus(copy->pg, telling_parameters[i]);

		if (value != NULL)
			hash =
				hash_combine64(hash,
							   hash_bytes_extended((const unsigned char *) value,
												   (int) strlen(value), i));
	}
	return hash;
}
