/*
 * slot.h
 *		The states of a slot, and the only function that changes them.
 *
 *	state		owner of the socket	leaves for
 *	FREE		none				CONNECTING	pool_slot_claim
 *	CONNECTING	worker				IDLE, CLOSING
 *	IDLE		none				LEASED, CHECKING, CLOSING
 *	LEASED		one session			IDLE, LEASED (to a waiter), RETURNED, CLOSING
 *	CHECKING	worker				IDLE, LEASED (to a waiter), CLOSING
 *	RETURNED	none				RESETTING, CLOSING
 *	RESETTING	worker				IDLE, LEASED (to a waiter), CLOSING
 *	CLOSING		worker				FREE	pool_slot_free
 *
 * A slot on its way to IDLE goes to the first waiter instead, if there is one:
 * then the move is straight to LEASED (pool_offer() in waiters.h).
 */
#ifndef POOL_SLOT_H
#define POOL_SLOT_H

#include "shmem.h"

extern const char *pool_slot_state_name(PoolSlotState state);
extern void pool_slot_move(Pool *pool, PoolSlot *slot, PoolSlotState to);
extern void pool_slot_lease(Pool *pool, PoolSlot *slot,
							const PoolSessionRef *session);
extern void pool_slot_doom(PoolSlot *slot, PoolCloseReason reason);
extern void pool_slot_retire_all(Pool *pool, PoolCloseReason reason);
extern void pool_slot_close(Pool *pool, PoolSlot *slot, PoolCloseReason reason,
							bool cancel);
extern void pool_slot_revoke(Pool *pool, PoolSlot *slot, PoolCloseReason reason);
extern void pool_slot_close_surplus(Pool *pool);
extern int64 pool_slot_busy_us(const Pool *pool, int64 now);
extern PoolSlot *pool_slot_claim(Pool *pool);
extern void pool_slot_free(Pool *pool, PoolSlot *slot);
extern bool pool_slot_is(const PoolSlot *slot, const Pool *pool,
						 uint64 generation, PoolSlotState state);
extern void pool_slot_count_anew(Pool *pool);
extern void pool_slot_note_gone(Pool *pool, PoolSlot *slot);
extern int pool_open_slots(const Pool *pool);
extern int pool_live_slots(const Pool *pool);
extern int pool_taken_slots(const Pool *pool);
extern int pool_counted_slots(const Pool *pool);

#endif /* POOL_SLOT_H */
