/*
 * remote_report.h
 *		What the remote reports, as reports of this server.
 */
#ifndef POOL_REMOTE_REPORT_H
#define POOL_REMOTE_REPORT_H

#include "libpq-fe.h"
#include "nodes/pg_list.h"

/* Where the connection was lost after a statement was sent. */
#define POOL_HINT_CHECK_EXECUTION                   \
	"The statement may have been executed or not; " \
	"check that before you run it again."

/* Notices of a connection that have come and were not shown yet. */
typedef struct PoolNotices
{
	List *list;		/* of PoolRemoteReport, in TopMemoryContext */
	size_t largest; /* bytes of the largest so far */
	struct PoolRemoteReport *farewell; /* why the remote ended the session,
										* in TopMemoryContext; NULL: nothing */
	bool held;			 /* to be kept on the list for the moment */
	bool protocol_doubt; /* libpq itself has complained about the protocol */
} PoolNotices;

/* An error or notice of the remote. */
typedef struct PoolRemoteReport
{
	int elevel;
	int sqlstate;
	bool ended; /* the connection has ended by this */
	char *message;
	char *text; /* of an error: all of it, as libpq writes it */
	char *detail;
	char *hint;
	char *context;
	char *schema;
	char *table;
	char *column;
	char *datatype;
	char *constraint;
} PoolRemoteReport;

extern PoolRemoteReport *pool_remote_report_error(const PGresult *res);
extern PoolRemoteReport *pool_remote_report_farewell(const PoolNotices *notices);
extern bool pool_remote_report_is_backends(const PGresult *res, bool *ended);
extern void pool_remote_report_raise(const PoolRemoteReport *report,
									 const char *server_name,
									 const char *context);
extern void pool_remote_report_listen(PGconn *conn, PoolNotices *notices);
extern void pool_remote_report_show_notices(PoolNotices *notices,
											const char *server_name);
extern void pool_remote_report_discard_notices(PoolNotices *notices);
extern void pool_remote_report_drop_notices(PoolNotices *notices);

#endif /* POOL_REMOTE_REPORT_H */
