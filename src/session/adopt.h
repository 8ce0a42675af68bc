/*
 * adopt.h
 *		A PGconn around a descriptor that another process connected.
 */
#ifndef POOL_ADOPT_H
#define POOL_ADOPT_H

#include "libpq-fe.h"

#include "session/handover.h"

extern void pool_adopt_prepare(void);
extern PGconn *pool_adopt(PoolHandover *handover);
extern void pool_adopt_discard(PGconn *conn);

#endif /* POOL_ADOPT_H */
