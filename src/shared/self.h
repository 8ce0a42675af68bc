/*
 * self.h
 *		Which session this is, and whether another one still exists.
 */
#ifndef POOL_SELF_H
#define POOL_SELF_H

/*
 * A backend, for ever: a pid is used again, the serial number is not.  So a
 * lease, a waiter or a last holder cannot be mistaken for a later session with
 * the same pid.
 */
typedef struct PoolSessionRef
{
	int pid;
	int procno;	   /* finds its latch */
	uint64 serial; /* 0: nobody */
} PoolSessionRef;

extern const PoolSessionRef *pool_self(void);
extern bool pool_self_exists(const PoolSessionRef *session);

#endif /* POOL_SELF_H */
