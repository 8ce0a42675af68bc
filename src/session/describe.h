/*
 * describe.h
 *		Having the remote describe a statement before it executes it.
 */
#ifndef POOL_DESCRIBE_H
#define POOL_DESCRIBE_H

#include "session/run.h"

extern bool pool_describe_pays(const PoolRun *run);
extern bool pool_describe_send(PoolRun *run);
extern bool pool_describe_take(PoolRun *run, PGresult *res);
extern bool pool_describe_execute(PoolRun *run);
extern bool pool_describe_send_alone(PoolRun *run);
extern void pool_describe_note(const PoolRun *run);

#endif /* POOL_DESCRIBE_H */
