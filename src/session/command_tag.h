/*
 * command_tag.h
 *		What a command leaves behind in the remote session, by its tag.
 */
#ifndef POOL_COMMAND_TAG_H
#define POOL_COMMAND_TAG_H

#include "libpq-fe.h"

#include "session/run.h"

extern void pool_command_tag_note(PoolRun *run, const PGresult *res);

#endif /* POOL_COMMAND_TAG_H */
