/*
 * link.h
 *		The session's connections by name, as dblink has them.
 */
#ifndef POOL_LINK_H
#define POOL_LINK_H

#include "options/conn_string.h"
#include "session/lease.h"
#include "session/request.h"

/*
 * A connection by name.  All of it is the session's own memory, below "context", which
 * outlives transactions.
 */
typedef struct PoolLink
{
	dlist_node node; /* in the session's list, the latest first */
	MemoryContext context;
	bool named;	   /* or the unnamed one, or that of a single call */
	NameData name; /* truncated like identifiers */

	/* Where it leads to, and with whose rights. */
	Oid role;
	char *server; /* the foreign server's name, or that of the string */
	PoolConnString *string; /* NULL: it is a server */

	/*
	 * NULL: between two statements it has none (mode "transaction"), or it was lost.
	 * "held": the user had set up something on the remote when the last statement had
	 * ended.  "broken": that went with the connection, so that nothing can be done but
	 * to disconnect.
	 */
	PoolLease *lease;
	bool held;
	bool broken;

	/* Cursors that dblink_open() has opened in a transaction that it began. */
	bool own_transaction;
	int cursors;

	/*
	 * What dblink_send_query() has sent, until all was read; "read" counts what was,
	 * and "reading" the calls that read rows of it just now.
	 */
	PoolRequest *request;
	int read;
	int reading;

	char *error; /* of the last statement, as libpq writes it; NULL: none */
} PoolLink;

extern PoolLink *pool_link_find(const char *name);
extern PoolLink *pool_link_get(const char *name);
extern PoolLink *pool_link_make(const char *place);
extern void pool_link_check_name(const char *name);
extern void pool_link_list(PoolLink *link, const char *name);
extern bool pool_link_is_listed(const PoolLink *link);
extern Datum pool_link_names(void);
extern void pool_link_note_error(PoolLink *link, const char *error);
extern void pool_link_refuse_if_being_read(const PoolLink *link);
extern void pool_link_forget_request(PoolLink *link);
extern void pool_link_end_lease(PoolLink *link);
extern void pool_link_end(PoolLink *link);

#endif /* POOL_LINK_H */
