/*
 * request_cancel.h
 *		Cancelling a request, whose answer is still wanted.
 */
#ifndef POOL_REQUEST_CANCEL_H
#define POOL_REQUEST_CANCEL_H

#include "session/request.h"

extern bool pool_request_cancel(PoolRequest *request);

#endif /* POOL_REQUEST_CANCEL_H */
