/*
 * spin.h
 *		Looking for an answer for a moment, instead of sleeping.
 */
#ifndef POOL_SPIN_H
#define POOL_SPIN_H

extern bool pool_spin_is_ready(int sock, int events, int64 deadline);

#endif /* POOL_SPIN_H */
