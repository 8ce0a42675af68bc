/*
 * handover.h
 *		What a session asks of the worker.
 */
#ifndef POOL_HANDOVER_H
#define POOL_HANDOVER_H

#include "options/conninfo.h"
#include "options/target.h"
#include "shared/pool.h"

/* A connection as the worker hands it over; the strings are palloc'd. */
typedef struct PoolHandover
{
	int fd; /* the caller closes it */
	int remote_pid;
	int nstrings;
	const char **strings; /* setting, value, ... as the remote reported them */
} PoolHandover;

extern bool pool_handover_fetch(int *leased, uint64 generation, int64 deadline,
								PoolHandover *handover);
extern bool pool_handover_configure(Pool *pool, uint64 pool_id,
									const PoolTarget *target,
									const PoolConninfo *conninfo,
									int64 deadline);

#endif /* POOL_HANDOVER_H */
