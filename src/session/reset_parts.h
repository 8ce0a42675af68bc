/*
 * reset_parts.h
 *		The reset of a handover, in the form that suits the connection.
 */
#ifndef POOL_RESET_PARTS_H
#define POOL_RESET_PARTS_H

#include "session/run.h"

extern int pool_reset_parts_send(PoolRun *run);
extern const char *pool_reset_parts_tag(const PoolRun *run, int answer);
extern bool pool_reset_parts_send_select(const PoolRun *run, const char *value);

#endif /* POOL_RESET_PARTS_H */
