/*
 * connector.h
 *		Which connections are to be opened, in the worker.
 */
#ifndef POOL_CONNECTOR_H
#define POOL_CONNECTOR_H

#include "shared/pool.h"

extern void pool_connector_open_missing(Pool *pool);

#endif /* POOL_CONNECTOR_H */
