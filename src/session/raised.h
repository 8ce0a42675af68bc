/*
 * raised.h
 *		What a function raises, to be kept.
 */
#ifndef POOL_RAISED_H
#define POOL_RAISED_H

extern ErrorData *pool_raised(void (*raise)(void *), void *arg);

#endif /* POOL_RAISED_H */
