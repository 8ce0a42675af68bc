/*
 * remote_io.h
 *		Sending a statement to the remote and receiving what comes back.
 */
#ifndef POOL_REMOTE_IO_H
#define POOL_REMOTE_IO_H

#include "base/compat.h"
#include "session/run.h"

extern bool pool_remote_io_send(PoolRun *run);
extern PGresult *pool_remote_io_next(PoolRun *run, int64 deadline,
									 bool *timed_out);
pg_noreturn extern void pool_remote_io_raise_timeout(const PoolRun *run);

#endif /* POOL_REMOTE_IO_H */
