/*
 * requests.h
 *		What sessions ask the worker for.
 */
#ifndef POOL_REQUESTS_H
#define POOL_REQUESTS_H

#include "libpq-fe.h"

extern void pool_requests_serve(pgsocket listener, int worker);

#endif /* POOL_REQUESTS_H */
