/*
 * remote_io.h
 *		Sending a statement to the remote and receiving what comes back.
 */
#ifndef POOL_REMOTE_IO_H
#define POOL_REMOTE_IO_H

#include "session/run.h"

extern bool pool_remote_io_send(PoolRun *run);
extern bool pool_remote_io_next(PoolRun *run, PGresult **res);
extern int pool_remote_io_events(PoolRun *run);
extern void pool_remote_io_show_notices(PoolRun *run);
extern void pool_remote_io_receive(PoolRun *run);

#endif /* POOL_REMOTE_IO_H */
