/*
 * journal.h
 *		What the worker writes into the log about a pool, without flooding it.
 */
#ifndef POOL_JOURNAL_H
#define POOL_JOURNAL_H

#include "shmem.h"

extern void pool_journal_init(void);
extern void pool_journal_failed(Pool *pool, const char *message);
extern void pool_journal_lost(Pool *pool, const PoolSlot *slot,
							  const char *reason);
extern void pool_journal_look(Pool *pool);
extern void pool_journal_end(void);

#endif /* POOL_JOURNAL_H */
