/*
 * remote.h
 *		Running a statement on a leased connection.
 */
#ifndef POOL_REMOTE_H
#define POOL_REMOTE_H

#include "link.h"
#include "params.h"
#include "result.h"

/* One statement on its way. */
typedef struct PoolRun
{
	PoolLink *link;
	const char *server_name;
	const char *reset_query; /* of the handover's proof */
	bool prove;				 /* another process used the socket last */
	bool validate;			 /* see it alive before the statement is sent */
	int proof_timeout;		 /* milliseconds, for a proof sent alone */
	int query_timeout;		 /* milliseconds, 0: none */
	const PoolStatement *statement;
	PoolResult *result;

	PoolRemoteReport *error; /* out: the remote's own error, or NULL */
	bool left_state;		 /* out: the remote session is not as before */
} PoolRun;

typedef enum PoolRunOutcome
{
	POOL_RUN_DONE,		/* the remote is ready for the next one */
	POOL_RUN_LOST,		/* the connection is gone; see error */
	POOL_RUN_NOT_SENT,	/* found unusable before the statement went */
	POOL_RUN_NOT_PROVEN /* the handover failed; nothing was shown */
} PoolRunOutcome;

extern PoolRunOutcome pool_remote_run(PoolRun *run);

#endif /* POOL_REMOTE_H */
