/*
 * run.h
 *		A statement on its way over a leased connection.
 */
#ifndef POOL_RUN_H
#define POOL_RUN_H

#include "link.h"
#include "params.h"
#include "result.h"

typedef struct PoolRun
{
	PoolLink *link;
	const char *server_name;
	const char *reset_query; /* of the handover's proof */
	bool prove;				 /* another process used the socket last */
	bool validate;			 /* see it alive before the statement is sent */
	int proof_timeout;		 /* milliseconds, for a proof sent alone */
	int query_timeout;		 /* milliseconds, 0: none */
	int64 deadline;			 /* by which it must have answered */
	const PoolStatement *statement;
	PoolResult *result;

	PoolRemoteReport *error;	   /* out: the remote's own error, or NULL */
	PoolRemoteReport *proof_error; /* out: the same of the proof */
	bool sent;					   /* out: the statement went out */
	int64 sent_at;				   /* out: pool_clock_us() */
	bool left_state;   /* out: the remote session is not as before */
	bool reset_undone; /* out: the reset may have been rolled back */
} PoolRun;

extern PGresult *pool_run_next(PoolRun *run, int64 deadline, bool *timed_out);
extern bool pool_run_send(PoolRun *run);
extern void pool_run_timed_out(const PoolRun *run);

#endif /* POOL_RUN_H */
