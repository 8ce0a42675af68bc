/*
 * conn_cache.c
 *		A session's cache of its copies of pooled connections.
 *
 * A copy (descriptor and PGconn) is made when the session leases a slot for the
 * first time, and kept when the lease ends, so that the next lease of that slot
 * needs neither.  At most pool.session_cache copies are kept besides those in
 * use, and fewer where the session's descriptors do not suffice.  A copy whose slot
 * has another connection by now (another generation) is closed when the cache is
 * next looked through.
 *
 * All memory here is the session's own; of what is shared only the slots'
 * generations are read, which need no lock.
 */
#include "postgres.h"

#include <sys/socket.h>

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#include "base/fault.h"
#include "base/guc.h"
#include "session/adopt.h"
#include "session/conn_cache.h"
#include "session/handover.h"
#include "shared/shmem.h"
#include "shared/slot.h"

/* For one more copy: its socket's, and one to wait for the worker with. */
#define DESCRIPTORS_FOR_COPY 2

/* What is larger has made libpq's buffers too large to keep. */
#define BULKY_BYTES (1024 * 1024)

static dlist_head copies = DLIST_STATIC_INIT(copies);

/* A change of one of these settings means that a statement left it behind. */
static const char *const reported_settings[] = {"client_encoding",
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

/*
 * The slot of the most recently used copy that is not leased and suits; or
 * POOL_NONE.  May be called under a pool's lock: allocates nothing and raises
 * nothing.
 */
int
pool_conn_cache_find(PoolCopySuits suits, const PoolAcquireRequest *request)
{
	dlist_iter iter;

	dlist_foreach (iter, &copies)
	{
		PoolCopy *copy = dlist_container(PoolCopy, node, iter.cur);

		if (!copy->leased && suits(request, copy->slot, copy->generation))
			return copy->slot;
	}
	return POOL_NONE;
}

/*
 * Closes the copy, without a word to the remote, whose session goes on.
 * Raises nothing.
 */
void
pool_conn_cache_close(PoolCopy *copy)
{
	dlist_delete(&copy->node);
	PQclear(copy->result);
	pool_adopt_discard(copy->pg);
	ReleaseExternalFD();
	pool_remote_report_drop_notices(&copy->notices);
	pfree(copy);
}

/* Whether this session may open the descriptors that another copy needs. */
static bool
has_room(void)
{
	int n = 0;

	while (n < DESCRIPTORS_FOR_COPY && AcquireExternalFD())
		n++;
	for (int i = 0; i < n; i++)
		ReleaseExternalFD();
	return n == DESCRIPTORS_FOR_COPY;
}

/* The copy to close if one has to go; NULL if all are in use. */
static PoolCopy *
least_recently_used(void)
{
	dlist_iter iter;

	dlist_reverse_foreach(iter, &copies)
	{
		PoolCopy *copy = dlist_container(PoolCopy, node, iter.cur);

		if (!copy->leased)
			return copy;
	}
	return NULL;
}

/*
 * Closes the copies of connections that are no more, and the least recently
 * used ones: beyond pool.session_cache, and until there is room for one more
 * copy.  So this session can get another connection, or wait for a socket, as
 * other extensions do, too.  Raises nothing.
 */
static void
prune_copies(void)
{
	dlist_mutable_iter iter;
	PoolCopy *last;
	int kept = 0;

	dlist_foreach_modify (iter, &copies)
	{
		PoolCopy *copy = dlist_container(PoolCopy, node, iter.cur);
		uint64 generation;

		if (copy->leased)
			continue;
		generation =
			pg_atomic_read_u64(&pool_shmem_slots[copy->slot].generation);
		if (generation != copy->generation || kept >= pool_guc_session_cache)
			pool_conn_cache_close(copy);
		else
			kept++;
	}
	while (!has_room() && (last = least_recently_used()) != NULL)
		pool_conn_cache_close(last);
}

/*
 * Makes sure that this session can open the descriptors of another copy, or wait
 * for the worker's answer; idle copies make room.  Raises 53000 if there is none
 * with all of them closed.
 */
void
pool_conn_cache_make_room(void)
{
	prune_copies();
	if (!has_room())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES),
				 errmsg(
					 "could not acquire a pooled connection: too many open files"),
				 errdetail(
					 "A session can use a third of max_files_per_process for connections, "
					 "and each lease takes one."),
				 errhint("Release a lease, or raise max_files_per_process.")));
}

/*
 * Makes a copy, which is leased from the beginning so that it stays; the only
 * place that gives back what it has, be it half made, is pool_conn_cache_close().
 * Returns NULL if the worker does not have the connection any more.
 */
static PoolCopy *
make_copy(int *leased, uint64 generation, int64 deadline)
{
	PoolCopy *copy;
	volatile bool fetched = false;

	pool_adopt_prepare();
	pool_conn_cache_make_room();
	POOL_FAULT_POINT(copy_begin);
	copy = MemoryContextAllocZero(TopMemoryContext, sizeof(PoolCopy));
	copy->slot = *leased;
	copy->generation = generation;
	copy->leased = copy->unproven = true;
	dlist_push_head(&copies, &copy->node);
	ReserveExternalFD();
	PG_TRY();
	{
		PoolHandover handover;

		if (pool_handover_fetch(leased, generation, deadline, &handover))
		{
			copy->pg = pool_adopt(&handover);
			POOL_FAULT_POINT(adopt_done);
			pool_remote_report_listen(copy->pg, &copy->notices);
			copy->fingerprint = pool_conn_cache_fingerprint(copy);
			copy->readable = pool_conn_cache_misread(copy) == NULL;
			POOL_FAULT_POINT(copy_done);
			fetched = true;
		}
	}
	PG_CATCH();
	{
		pool_conn_cache_close(copy);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (fetched)
		return copy;
	pool_conn_cache_close(copy);
	return NULL;
}

/*
 * Returns the session's copy of the connection in the slot *leased, which is leased
 * to it, and makes one if there is none; NULL if the worker does not have the
 * connection any more, or the lease has ended: see pool_handover_fetch().  The
 * deadline is in pool_clock_us().  Raises 53000 when the session is
 * out of descriptors, and what pool_handover_fetch() and pool_adopt() do.
 */
PoolCopy *
pool_conn_cache_get(int *leased, uint64 generation, int64 deadline)
{
	PoolCopy *copy = find_copy(*leased, generation);

	if (copy == NULL)
		return make_copy(leased, generation, deadline);
	Assert(!copy->leased);
	copy->leased = true;
	return copy;
}

/* Something of that size was sent, or came in one piece. */
void
pool_conn_cache_note_size(PoolCopy *copy, size_t bytes)
{
	if (bytes > BULKY_BYTES)
		copy->bulky = true;
}

/*
 * The lease is over; the copy is kept for the next one.  But when a statement
 * changed a setting that the remote reports, the report of the reset goes to
 * the process that does it, and this PGconn would never know: then the copy is
 * closed.  It is closed after a very wide statement, row or notice, too, since
 * libpq never gives that memory back.  Raises nothing.
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
 * Is the connection open, with nothing to read?  Before a statement is sent
 * there must not be a byte on the socket: it would be from an earlier one.
 */
bool
pool_conn_cache_is_quiet(const PoolCopy *copy)
{
	char byte;

	return PQstatus(copy->pg) == CONNECTION_OK &&
		   recv(PQsocket(copy->pg), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 &&
		   (errno == EAGAIN || errno == EWOULDBLOCK);
}

/* A number that changes when one of the settings that the remote reports does. */
uint64
pool_conn_cache_fingerprint(const PoolCopy *copy)
{
	uint64 hash = 0;

	for (int i = 0; i < (int) lengthof(reported_settings); i++)
	{
		const char *value = PQparameterStatus(copy->pg, reported_settings[i]);

		if (value != NULL)
			hash =
				hash_combine64(hash,
							   hash_bytes_extended((const unsigned char *) value,
												   (int) strlen(value), i));
	}
	return hash;
}

/*
 * The setting of the remote session, if there is one, by which it writes text that
 * means something else here.
 */
const char *
pool_conn_cache_misread(const PoolCopy *copy)
{
	const char *encoding = PQparameterStatus(copy->pg, "client_encoding");
	const char *dates = PQparameterStatus(copy->pg, "DateStyle");
	const char *intervals = PQparameterStatus(copy->pg, "IntervalStyle");

	if (encoding && pg_char_to_encoding(encoding) != GetDatabaseEncoding())
		return "client_encoding";
	if (dates && strncmp(dates, "ISO", 3) != 0)
		return "DateStyle";
	if (intervals && strcmp(intervals, "postgres") != 0)
		return "IntervalStyle";
	return NULL;
}
