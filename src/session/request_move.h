/*
 * request_move.h
 *		Moving one request on as far as it goes without waiting.
 */
#ifndef POOL_REQUEST_MOVE_H
#define POOL_REQUEST_MOVE_H

#include "session/request.h"

extern void pool_request_move(PoolRequest *request, bool woken);

#endif /* POOL_REQUEST_MOVE_H */
