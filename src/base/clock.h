/*
 * clock.h
 *		The clock of all deadlines and ages, its units, and how they convert.
 *
 * Options and settings give times in milliseconds, all else here is in
 * microseconds of this clock: an int64, of which PG_INT64_MAX means "never".
 * Time that is left is rounded up to the next millisecond, so that no wait
 * ends before its deadline and finds that there is still time.
 */
#ifndef POOL_CLOCK_H
#define POOL_CLOCK_H

#include <limits.h>

#include "portability/instr_time.h"

#define POOL_CLOCK_US_PER_MS INT64CONST(1000)
#define POOL_CLOCK_US_PER_S INT64CONST(1000000)

/*
 * Microseconds of a clock that only goes forward and that all processes of
 * the machine share.  All deadlines and ages in shared memory use it, so
 * that setting the wall clock back ends no wait and stretches none.
 */
static inline int64
pool_clock_us(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return (int64) INSTR_TIME_GET_MICROSEC(now);
}

/* Milliseconds as microseconds. */
static inline int64
pool_clock_from_ms(int64 ms)
{
	return ms * POOL_CLOCK_US_PER_MS;
}

/* The deadline that comes in so many milliseconds. */
static inline int64
pool_clock_after_ms(int64 ms)
{
	return pool_clock_us() + pool_clock_from_ms(ms);
}

/*
 * Milliseconds until the deadline, as the functions that wait take them: 0 if
 * it has come, -1 (wait for ever) if it never comes, at most INT_MAX.
 */
static inline long
pool_clock_left_ms(int64 deadline)
{
	int64 left;

	if (deadline == PG_INT64_MAX)
		return -1;
	left = deadline - pool_clock_us();
	if (left <= 0)
		return 0;
	return (long) Min((left + POOL_CLOCK_US_PER_MS - 1) / POOL_CLOCK_US_PER_MS,
					  INT_MAX);
}

#endif /* POOL_CLOCK_H */
