/*
 * prepared.h
 *		Which statements of ours a connection has prepared.
 *
 * A statement is known by a hash of 128 bits, of which its name on the remote is
 * made (session/statement_cache.c).  The list is in the slot, so that every
 * session that leases the connection can execute what another one has prepared.
 *
 * It is what we know, not what is: where there is doubt it is emptied, and the
 * connection's next reset is DISCARD ALL, which makes that true.  It holds for
 * one local role: what a role can do to its remote session (prepare another
 * statement of the same name in a function) must not hit another role.
 */
#ifndef POOL_PREPARED_H
#define POOL_PREPARED_H

#include "options/options.h"
#include "shared/shmem.h"

struct PoolSlot;

typedef struct PoolPreparedHash
{
	uint64 half[2];
} PoolPreparedHash;

typedef struct PoolPreparedEntry
{
	PoolPreparedHash hash;
	int64 used; /* about when it was used last, pool_clock_us() */
} PoolPreparedEntry;

/* In the slot. */
typedef struct PoolPrepared
{
	Oid role;	/* the local role that had the connection last */
	bool parts; /* the parts of the reset, and the proof's SELECT, are prepared */
	int count;
	PoolPreparedEntry entries[POOL_MAX_STATEMENT_CACHE];
} PoolPrepared;

/* A lease's copy of it, which comes back into the slot when the lease ends. */
typedef struct PoolPreparedCopy
{
	PoolPrepared list;
	uint64 generation; /* of the slot that was leased */
	bool known;		   /* the lease's role had the connection before, too */
	bool changed;	   /* it is not what the slot has */
	bool doubt;		   /* something is under way after which it may be wrong */
} PoolPreparedCopy;

extern void pool_prepared_init(PoolPreparedCopy *copy);
extern void pool_prepared_load(const struct PoolSlot *slot, uint64 generation,
							   Oid role, bool enabled, PoolPreparedCopy *copy);
extern void pool_prepared_store(int slot, PoolPreparedCopy *copy);
extern void pool_prepared_forget(struct PoolSlot *slot);
extern void pool_prepared_clear(PoolPreparedCopy *copy);
extern void pool_prepared_note_parts(PoolPreparedCopy *copy);
extern bool pool_prepared_is_worth_sparing(const PoolPreparedCopy *copy);
extern bool pool_prepared_has_parts(const PoolPreparedCopy *copy);
extern bool pool_prepared_use(PoolPreparedCopy *copy,
							  const PoolPreparedHash *hash);
extern void pool_prepared_add(PoolPreparedCopy *copy,
							  const PoolPreparedHash *hash);
extern PoolPreparedHash pool_prepared_evict(PoolPreparedCopy *copy);

#endif /* POOL_PREPARED_H */
