/*
 * launch.h
 *		Starting the short-lived processes of the pool.
 */
#ifndef POOL_LAUNCH_H
#define POOL_LAUNCH_H

#include "postmaster/bgworker.h"

extern BackgroundWorkerHandle *pool_launch(const char *type,
										   const char *function, Datum arg,
										   const char *extra);
extern BackgroundWorkerHandle *pool_launch_checker(Oid database);

#endif /* POOL_LAUNCH_H */
