/*
 * run.h
 *		Running a statement on a leased connection.
 */
#ifndef POOL_RUN_H
#define POOL_RUN_H

#include "session/conn_cache.h"
#include "statement/remote_report.h"
#include "statement/result.h"
#include "statement/statement.h"

/* What came of a run, and with that, what has to be raised. */
typedef enum PoolRunOutcome
{
	/* The remote is ready for the next statement. */
	POOL_RUN_DONE,
	POOL_RUN_FAILED, /* with the remote's own error, see "error" */

	/* The connection is not to be used again. */
	POOL_RUN_LOST,		 /* in the middle, see "error" */
	POOL_RUN_NOT_SENT,	 /* found unusable before the statement went out */
	POOL_RUN_NOT_BEGUN,	 /* the proof failed so that the remote has certainly
						  * executed nothing of the statement */
	POOL_RUN_NOT_PROVEN, /* the proof failed in another way; no row was shown */

	/* What lease_run.c makes of them, when it has looked at the lease. */
	POOL_RUN_LEFT_OPEN,		   /* done, but left a transaction open */
	POOL_RUN_RECLAIMED_BEFORE, /* lost before the statement went out, because
								* the lease was reclaimed */
	POOL_RUN_RECLAIMED		   /* lost later for that reason */
} PoolRunOutcome;

/* What the remote answered to the handover's proof. */
typedef enum PoolProof
{
	POOL_PROOF_GOOD,
	POOL_PROOF_BAD,		/* something else than expected, or the end */
	POOL_PROOF_LATE,	/* not all of it in time */
	POOL_PROOF_REFUSED, /* an error */
	POOL_PROOF_ENDED,	/* that it ends its session */
	POOL_PROOF_OPEN		/* what was expected, but a transaction is open */
} PoolProof;

/* One run: what the caller asks for, and what it gets. */
typedef struct PoolRun
{
	PoolCopy *copy;
	const char *server_name;
	const char *reset_query; /* of the handover's proof */
	bool prove;				 /* another user was the last (PoolUser) */
	bool validate;			 /* see it alive before the statement is sent */
	int proof_timeout;		 /* milliseconds, for a proof sent alone */
	int query_timeout;		 /* milliseconds, 0: none */
	const PoolStatement *statement;
	PoolResult *result;

	int64 deadline; /* of query_timeout, pool_clock_us() */

	PoolRunOutcome outcome;	 /* out */
	PoolRemoteReport *error; /* out: FAILED, LOST: what to raise; NOT_SENT:
									* why the remote ended it, or NULL */
	PoolProof proof;		 /* out: what came of the proof */
	PoolRemoteReport *proof_error; /* out: the error in it, or NULL */
	bool sent;					   /* out: the statement went out */
	bool answered;				   /* out: an answer to it has ended */
	int64 sent_at;				   /* out: then, pool_clock_us() */
	bool left_state;   /* out: the remote session is not as before */
	bool reset_undone; /* out: the reset may have been rolled back */
} PoolRun;

extern void pool_run_statement(PoolRun *run);

#endif /* POOL_RUN_H */
