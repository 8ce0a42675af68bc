/*
 * request_entry.h
 *		The requests of all sessions, as others see them, and their places in
 *		queues.
 *
 * A request is a statement that was sent without waiting for its answer.  What it
 * is made of is its session's own; here is what a view shows of it, and with each
 * entry goes a PoolWaiter, so that each request can wait for a connection by
 * itself.
 */
#ifndef POOL_REQUEST_ENTRY_H
#define POOL_REQUEST_ENTRY_H

#include "shared/self.h"
#include "shared/waiters.h"

typedef enum PoolRequestState
{
	POOL_REQUEST_WAITING, /* for a connection */
	POOL_REQUEST_RUNNING,
	POOL_REQUEST_READY,	 /* its rows are here */
	POOL_REQUEST_FAILED, /* its error is here */
	POOL_REQUEST_CANCELLED
} PoolRequestState;

/*
 * Under request_lock; written by its session alone.  That session frees it, at
 * the latest when it exits (session_exit() in session/session.c): nobody else
 * does, and after a crash shared memory is made anew.
 */
typedef struct PoolRequestEntry
{
	uint64 id; /* 0: it is free */
	int next;  /* in the list of those that are free */
	PoolRequestState state;
	int64 since; /* of the state, pool_clock_us() */
	PoolSessionRef session;
	Oid database;
	Oid userid;		 /* who sent it */
	int encoding;	 /* of the database, and so of the name */
	NameData server; /* as the user gave it */
} PoolRequestEntry;

extern const char *pool_request_entry_state_name(PoolRequestState state);
extern PoolRequestEntry *pool_request_entry_take(uint64 id, const char *server,
												 Oid userid);
extern void pool_request_entry_note(PoolRequestEntry *entry,
									PoolRequestState state);
extern void pool_request_entry_free(PoolRequestEntry *entry);
extern PoolWaiter *pool_request_entry_waiter(const PoolRequestEntry *entry);
extern int pool_request_entry_copy(PoolRequestEntry *copies);

#endif /* POOL_REQUEST_ENTRY_H */
