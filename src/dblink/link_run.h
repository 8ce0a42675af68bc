/*
 * link_run.h
 *		Running statements over a link.
 */
#ifndef POOL_LINK_RUN_H
#define POOL_LINK_RUN_H

#include "dblink/link.h"
#include "statement/sets.h"

/* What a function of dblink asks for. */
typedef struct PoolLinkCall
{
	PoolLink *link;
	const char *name; /* as messages have it; NULL: the unnamed one, or none */
	const char *sql;
	const char *doing; /* "while executing query" */
	bool fail;		   /* an error of the remote is one here; else a notice */
} PoolLinkCall;

/* What came of it. */
typedef struct PoolLinkAnswer
{
	PoolResult *result; /* to be freed by pool_result_destroy() */
	PoolSet *set;		/* the last one */
	char *date_style;	/* of the remote session, NULL: not known */
	char *interval_style;
} PoolLinkAnswer;

extern PoolStatement *pool_link_run_statement(const char *name, const char *sql,
											  const char *doing);
extern void pool_link_run_note_error(PoolLink *link,
									 const PoolStatement *statement,
									 const PoolRun *run, ErrorData *error);
extern void pool_link_run_open(PoolLink *link);
extern bool pool_link_run(const PoolLinkCall *call, PoolLinkAnswer *answer);
extern void pool_link_run_command(PoolLink *link, const char *name,
								  const char *sql);
extern bool pool_link_run_in_transaction(const PoolLink *link);
extern void pool_link_run_discard(PoolLink *link);
extern void pool_link_run_settle(PoolLink *link);
extern bool pool_link_run_is_broken(PoolLink *link);
extern void pool_link_run_read_styles(const PoolLink *link,
									  PoolLinkAnswer *answer);
extern bool pool_link_run_is_empty(const PoolSet *set);
extern ErrorData *pool_link_run_empty_error(const char *context);
extern void pool_link_run_throw(ErrorData *error, bool fail);

#endif /* POOL_LINK_RUN_H */
