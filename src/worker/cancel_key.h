/*
 * cancel_key.h
 *		The cancel key of a connection that libpq has made.
 */
#ifndef POOL_CANCEL_KEY_H
#define POOL_CANCEL_KEY_H

#include "libpq-fe.h"

/*
 * The longest cancel request: length, code and process, and a key, which has 4
 * bytes in protocol 3.0 and up to 256 in 3.2.
 */
#define POOL_CANCEL_REQUEST_MAX (3 * sizeof(uint32) + 256)

/* What a cancel request needs to know. */
typedef struct PoolCancelKey
{
	bool encrypted; /* it must not be sent in the clear */
	uint32 len;		/* of the request, 0: the key is not known */
	uint8 request[POOL_CANCEL_REQUEST_MAX];
} PoolCancelKey;

extern void pool_cancel_key_take(PoolCancelKey *key, PGconn *conn);

#endif /* POOL_CANCEL_KEY_H */
