/*
 * cancel_key.h
 *		The cancel key of a connection that libpq has made.
 */
#ifndef POOL_CANCEL_KEY_H
#define POOL_CANCEL_KEY_H

#include "libpq-fe.h"

/* What a cancel request needs to know. */
typedef struct PoolCancelKey
{
	bool known;
	bool encrypted; /* it must not be sent in the clear */
	int32 pid;
	int32 secret;
} PoolCancelKey;

extern void pool_cancel_key_take(PoolCancelKey *key, PGconn *conn);

#endif /* POOL_CANCEL_KEY_H */
