/*
 * run.h
 *		Running a statement on a leased connection.
 */
#ifndef POOL_RUN_H
#define POOL_RUN_H

#include "session/conn_cache.h"
#include "session/statement_cache.h"
#include "shared/prepared.h"
#include "statement/notifications.h"
#include "statement/remote_report.h"
#include "statement/result.h"
#include "statement/statement.h"

/* What came of a run, and with that, what has to be raised. */
typedef enum PoolRunOutcome
{
	/* The remote is ready for the next statement. */
	POOL_RUN_DONE,
	POOL_RUN_FAILED, /* with the remote's own error, see "error" */

	POOL_RUN_MISREAD, /* done, but its rows cannot be read: see "misread" */

	/* The connection is not to be used again. */
	POOL_RUN_LOST,		 /* in the middle, see "error" */
	POOL_RUN_NOT_SENT,	 /* found unusable before the statement went out */
	POOL_RUN_NOT_BEGUN,	 /* the proof failed so that the remote has certainly
						  * executed nothing of the statement */
	POOL_RUN_NOT_PROVEN, /* the proof failed in another way; no row was shown */
	POOL_RUN_TIMED_OUT,	 /* query_timeout was over first */
	POOL_RUN_COPIES,	 /* it is a COPY from or to the client */
	POOL_RUN_BEHIND,	 /* a backlog could not be read: see "behind" */

	/* A backlog was read to its end, and nothing else was done. */
	POOL_RUN_CAUGHT_UP,

	/* What lease_settle.c makes of them, when it has looked at the lease. */
	POOL_RUN_LEFT_OPEN,		   /* done, but left a transaction open */
	POOL_RUN_RECLAIMED_BEFORE, /* lost before the statement went out, because
								* the lease was reclaimed */
	POOL_RUN_RECLAIMED		   /* lost later for that reason */
} PoolRunOutcome;

/* What the remote answered to the handover's proof. */
typedef enum PoolProof
{
	POOL_PROOF_PENDING, /* not all of it has come yet */
	POOL_PROOF_GOOD,
	POOL_PROOF_BAD,		/* something else than expected, or the end */
	POOL_PROOF_LATE,	/* not all of it in time */
	POOL_PROOF_REFUSED, /* an error */
	POOL_PROOF_ENDED,	/* that it ends its session */
	POOL_PROOF_OPEN		/* what was expected, but a transaction is open */
} PoolProof;

/* The form of the reset; see reset_parts.c. */
typedef enum PoolReset
{
	POOL_RESET_NONE,
	POOL_RESET_QUERY,
	POOL_RESET_PREPARING,
	POOL_RESET_PARTS
} PoolReset;

/* What a statement does with what its user has set up in the remote session. */
typedef enum PoolHolds
{
	POOL_HOLDS_AS_BEFORE,
	POOL_HOLDS_STATE, /* adds to it */
	POOL_HOLDS_NONE	  /* throws all of it away */
} PoolHolds;

/* How the statement goes; see by_name.c. */
typedef enum PoolHow
{
	POOL_HOW_PLAIN,
	POOL_HOW_BY_NAME,
	POOL_HOW_PREPARE
} PoolHow;

/* What is read next. */
typedef enum PoolRunPhase
{
	POOL_RUN_PHASE_PROOF, /* with the Sync that follows it, if there is one */
	POOL_RUN_PHASE_DESCRIPTION,
	POOL_RUN_PHASE_PREPARATIONS,
	POOL_RUN_PHASE_RESULTS,
	POOL_RUN_PHASE_SYNC,
	POOL_RUN_PHASE_OVER /* see "outcome" */
} PoolRunPhase;

#define POOL_NONCE_LEN 16 /* hexadecimal digits */

/* What of the proof went out, and what of the answers to it has come. */
typedef struct PoolProofState
{
	char nonce[POOL_NONCE_LEN + 1];
	int steps; /* of the reset */
	int step;  /* that is being answered; "steps": the SELECT, then the Sync */
	bool sync; /* one follows it */
	int rows;  /* with the nonce that came */
} PoolProofState;

/* What is left to read of an answer; see backlog.c. */
typedef struct PoolBacklog
{
	bool exists;
	bool in_transaction; /* its statement was sent in a transaction block */

	/* As in the PoolRun whose answer it is. */
	bool pipeline;
	bool simple;
	bool answered;
	bool reset_undone;
} PoolBacklog;

/* One run: what the caller asks for, and what it gets. */
typedef struct PoolRun
{
	PoolCopy *copy;
	const char *server_name;
	int remote_pid;
	const char *reset_query; /* of the handover's proof */
	bool prove;				 /* another user was the last (PoolUser) */
	bool validate;			 /* see it alive before the statement is sent */
	int proof_timeout;		 /* milliseconds, for a proof sent alone */
	int query_timeout;		 /* milliseconds, 0: none */
	const PoolStatement *statement;
	PoolResult *result;
	PoolNotifications *notifications; /* where those are kept, or NULL */
	const PoolBacklog *backlog; /* to be read, and nothing else; or NULL */
	bool in_transaction;		/* a transaction block of the remote is open */

	/* What is prepared on the connection, and what becomes of it. */
	bool caching; /* statements, and the reset, may be prepared */
	PoolCachedStatement *cached; /* in the session's table, or NULL */
	uint64 removals;			 /* from that table by then */
	PoolHow how;
	int max_prepared;			/* option statement_cache */
	PoolPreparedCopy *prepared; /* of the lease */
	PoolStatementName name;		/* unless PLAIN */
	PoolReset reset;			/* how the proof has begun */
	int evictions;				/* DEALLOCATE before a PREPARE */
	int preparations;			/* answers before the statement's own */
	bool stale;		 /* out: FAILED, since what was prepared is gone or out
					  * of date; nothing was executed */
	bool reset_lost; /* out: so it was with the parts of the reset */
	bool unsettles;	 /* out: it may have changed what names or texts mean */

	bool describe;	   /* before it is executed; see describe.c */
	int64 describe_us; /* out: how long that took */
	bool binary;	   /* out: it was executed in binary format after that */

	int64 deadline; /* of query_timeout, pool_clock_us(); 0: it begins now */

	/* How far it is; see run.c. */
	PoolRunPhase phase;
	PoolProofState proof_state;
	bool pipeline;	  /* a Sync ends it */
	int answers;	  /* that are to come in this phase */
	int64 wait_until; /* for what is read next, pool_clock_us() */
	bool deaf;		  /* no more can be read; libpq tells why */
	bool passing; /* a result is read here, by code that may raise anything */
	int64 wasted; /* bytes of the backlog that were read */

	PoolRunOutcome outcome;	 /* out */
	PoolRemoteReport *error; /* out: FAILED, LOST: what to raise; NOT_SENT:
									* why the remote ended it, or NULL */
	PoolProof proof;		 /* out: what came of the proof */
	PoolRemoteReport *proof_error; /* out: the error in it, or NULL */
	bool sent;					   /* out: the statement went out */
	bool simple;				   /* out: by the simple protocol */
	bool answered;				   /* out: an answer to it has ended */
	int64 sent_at;				   /* out: then, pool_clock_us() */
	bool left_state;	  /* out: the remote session is not as before */
	PoolHolds holds;	  /* out: whether its user counts on that */
	bool settings_differ; /* out: from those that the copy began with */
	bool reset_undone;	  /* out: the reset may have been rolled back */
	const char *misread;  /* out: MISREAD: the setting that is to blame */
	const char *behind;	  /* out: BEHIND: why, as a sentence */
} PoolRun;

extern void pool_run_begin(PoolRun *run);
extern bool pool_run_step(PoolRun *run, bool ready);
extern void pool_run_time_out(PoolRun *run);

#endif /* POOL_RUN_H */
