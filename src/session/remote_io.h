/*
 * remote_io.h
 *		A statement on its way over a leased connection.
 */
#ifndef POOL_REMOTE_IO_H
#define POOL_REMOTE_IO_H

#include "session/conn_cache.h"
#include "statement/remote_report.h"
#include "statement/result.h"
#include "statement/statement.h"

typedef struct PoolRun
{
	PoolCopy *copy;
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

extern PGresult *pool_remote_io_next(PoolRun *run, int64 deadline,
									 bool *timed_out);
extern bool pool_remote_io_send(PoolRun *run);
extern void pool_remote_io_raise_timeout(const PoolRun *run);

#endif /* POOL_REMOTE_IO_H */
