/*
 * holder.h
 *		What the session that has a lease tells of it.
 */
#ifndef POOL_HOLDER_H
#define POOL_HOLDER_H

#include "shared/slot.h"

extern void pool_holder_note(int slot, uint64 generation,
							 const PoolHolder *holder);
extern bool pool_holder_begin_statement(int slot, uint64 generation);
extern void pool_holder_end_statement(int slot, uint64 generation);
extern bool pool_holder_bar_statements(PoolSlot *slot);
extern void pool_holder_begin_lease(PoolSlot *slot);
extern bool pool_holder_attend(int slot, uint64 generation, int64 until);
extern int64 pool_holder_attended_until(const PoolSlot *slot);
extern int64 pool_holder_unused_us(const PoolSlot *slot, int64 now);

#endif /* POOL_HOLDER_H */
