/*
 * remote_report.h
 *		What the remote reports, as reports of this server.
 */
#ifndef POOL_REMOTE_REPORT_H
#define POOL_REMOTE_REPORT_H

#define POOL_HINT_NOT_SENT_AGAIN \
	"The statement may have been executed or not; it is not sent again."

#include "libpq-fe.h"
#include "nodes/pg_list.h"

/* Notices that came but were not shown yet. */
typedef struct PoolNotices
{
	List *list;			 /* of PoolRemoteReport, in TopMemoryContext */
	bool held;			 /* not to be shown yet */
	bool protocol_doubt; /* libpq itself complained */
} PoolNotices;

/* An error or notice of the remote. */
typedef struct PoolRemoteReport
{
	int elevel;
	int sqlstate;
	char *message;
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
extern void pool_remote_report_raise(const PoolRemoteReport *report,
									 const char *server_name);
extern void pool_remote_report_listen(PGconn *conn, PoolNotices *notices);
extern void pool_remote_report_show_notices(PoolNotices *notices,
											const char *server_name);
extern void pool_remote_report_drop_notices(PoolNotices *notices);

#endif /* POOL_REMOTE_REPORT_H */
