/*
 * drops.h
 *		Noticing that a server, user mapping or database is dropped.
 */
#ifndef POOL_DROPS_H
#define POOL_DROPS_H

extern void pool_drops_init(void);

#endif /* POOL_DROPS_H */
