/*
 * run.h
 *		Running a statement on a leased connection.
 */
#ifndef POOL_RUN_H
#define POOL_RUN_H

#include "session/remote_io.h"

typedef enum PoolRunOutcome
{
	POOL_RUN_DONE,		/* the remote is ready for the next one */
	POOL_RUN_LOST,		/* the connection is gone; see error */
	POOL_RUN_NOT_SENT,	/* found unusable before the statement went */
	POOL_RUN_NOT_PROVEN /* the handover failed; nothing was shown */
} PoolRunOutcome;

extern PoolRunOutcome pool_run_statement(PoolRun *run);

#endif /* POOL_RUN_H */
