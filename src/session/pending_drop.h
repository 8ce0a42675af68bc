/*
 * pending_drop.h
 *		Pools that go when the transaction ends.
 */
#ifndef POOL_PENDING_DROP_H
#define POOL_PENDING_DROP_H

extern void pool_pending_drop_install(void);
extern void pool_pending_drop_at_abort(Oid mapping);

#endif /* POOL_PENDING_DROP_H */
