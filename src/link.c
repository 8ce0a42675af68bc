/*
 * link.c
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

#include "adopt.h"
#include "compat.h"
#include "guc.h"
#include "link.h"

static dlist_head links = DLIST_STATIC_INIT(links);

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

static PoolLink *
find_link(int slot, uint64 generation)
{
	dlist_iter iter;

	dlist_foreach (iter, &links)
	{
		PoolLink *link = dlist_container(PoolLink, node, iter.cur);

		if (link->slot == slot && link->generation == generation)
			return link;
	}
	return NULL;
}

/* Has this session a copy of that connection?  Safe under a lock. */
bool
pool_link_exists(int slot, uint64 generation)
{
	return find_link(slot, generation) != NULL;
}

/* Closes the copy, without a word to the remote.  Raises nothing. */
void
pool_link_close(PoolLink *link)
{
	dlist_delete(&link->node);
	if (link->wait_set)
		FreeWaitEventSet(link->wait_set);
	PQclear(link->result);
	pool_adopt_discard(link->pg);
	ReleaseExternalFD();
	pool_notices_drop(&link->notices);
	pfree(link);
}

/* Closes what is out of date, and the least recently used over the limit. */
static void
prune_links(void)
{
	dlist_mutable_iter iter;
	int kept = 0;

	dlist_foreach_modify (iter, &links)
	{
		PoolLink *link = dlist_container(PoolLink, node, iter.cur);
		uint64 now;

		if (link->leased)
			continue;
		now = pg_atomic_read_u64(&pool_slots[link->slot].generation);
		if (now != link->generation || kept >= pool_guc_session_cache)
			pool_link_close(link);
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
static PoolLink *
make_link(int slot, uint64 generation, PoolHandover *handover)
{
	PGconn *pg = pool_adopt(handover);
	WaitEventSet *set;
	PoolLink *link =
		MemoryContextAllocExtended(TopMemoryContext, sizeof(PoolLink),
								   MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);

	if (link == NULL)
	{
		pool_adopt_discard(pg);
		ReleaseExternalFD();
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	link->pg = pg;
	link->slot = slot;
	link->generation = generation;
	link->unproven = true;
	dlist_push_head(&links, &link->node);
	pool_notices_listen(pg, &link->notices);
	link->fingerprint = pool_link_fingerprint(link);

	/* An error from here on leaves a link that pool_link_get() closes. */
	set = pool_create_wait_set(3);
	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	link->watched = WL_SOCKET_READABLE;
	link->position =
		AddWaitEventToSet(set, link->watched, PQsocket(pg), NULL, NULL);
	link->wait_set = set;
	return link;
}

/*
 * The session's copy of a connection that is leased to it, made if need be.
 * NULL if the worker no longer has the connection.  Raises 53000 when the
 * session is out of descriptors, and what pool_handover_fetch() does.
 */
PoolLink *
pool_link_get(int slot, uint64 generation, int64 deadline)
{
	PoolLink *volatile link = find_link(slot, generation);

	if (link != NULL && link->wait_set == NULL)
	{
		pool_link_close(link); /* half made, see make_link() */
		link = NULL;
	}
	if (link == NULL)
	{
		PoolHandover handover;

		pool_adopt_prepare();
		prune_links();
		if (!AcquireExternalFD())
			too_many_files();
		PG_TRY();
		{
			if (pool_handover_fetch(slot, generation, deadline, &handover))
				link = make_link(slot, generation, &handover);
		}
		PG_CATCH();
		{
			if (find_link(slot, generation) == NULL)
				ReleaseExternalFD();
			PG_RE_THROW();
		}
		PG_END_TRY();
		if (link == NULL)
		{
			ReleaseExternalFD();
			return NULL;
		}
	}
	link->leased = true;
	return link;
}

/*
 * The lease is over; the copy is kept for the next one.  But when a statement
 * changed what the remote reports, the report of the reset goes to whoever
 * does it, and this PGconn would never know: then the copy is closed.  So it is
 * after a very wide row, since libpq never gives that memory back.
 */
void
pool_link_put(PoolLink *link, bool left_state)
{
	if (link->bulky ||
		(left_state && pool_link_fingerprint(link) != link->fingerprint))
	{
		pool_link_close(link);
		return;
	}
	link->leased = false;
	dlist_move_head(&links, &link->node);
	prune_links();
}

/*
 * Is there nothing to read and the connection open?  Before a statement is
 * sent there must not be a byte on the socket: it would be from before.
 */
bool
pool_link_is_quiet(const PoolLink *link)
{
	char byte;

	return PQstatus(link->pg) == CONNECTION_OK &&
		   recv(PQsocket(link->pg), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
		   (errno == EAGAIN || errno == EWOULDBLOCK);
}

/*
 * Waits until the socket is ready, or until the latch is set and there was no
 * reason to give up (interrupts are taken here).  Returns false when the
 * deadline, in pool_clock_us(), has come.
 */
bool
pool_link_wait(PoolLink *link, uint32 events, int64 deadline, PoolWait wait)
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
	if (events != link->watched)
	{
		ModifyWaitEvent(link->wait_set, link->position, events, NULL);
		link->watched = events;
	}
	if (WaitEventSetWait(link->wait_set, timeout, &event, 1,
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
pool_link_fingerprint(const PoolLink *link)
{
	uint64 hash = 0;

	for (int i = 0; i < (int) lengthof(telling_parameters); i++)
	{
		const char *value = PQparameterStatus(link->pg, telling_parameters[i]);

		if (value != NULL)
			hash =
				hash_combine64(hash,
							   hash_bytes_extended((const unsigned char *) value,
												   (int) strlen(value), i));
	}
	return hash;
}
