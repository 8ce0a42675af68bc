/*
 * view_row.h
 *		Rows of the views, built column by column.
 */
#ifndef POOL_VIEW_ROW_H
#define POOL_VIEW_ROW_H

#include "funcapi.h"

#include "shared/pool.h"

#define POOL_MAX_COLUMNS 128 /* pool_stats_all() has the most */

/* A row under way; begins as {.n = 0}. */
typedef struct PoolViewRow
{
	Datum values[POOL_MAX_COLUMNS];
	bool nulls[POOL_MAX_COLUMNS];
	int n; /* columns put so far */
} PoolViewRow;

extern void pool_view_row_put(PoolViewRow *row, Datum value);
extern void pool_view_row_put_null(PoolViewRow *row);
extern void pool_view_row_put_text(PoolViewRow *row, const char *text);
extern void pool_view_row_put_name(PoolViewRow *row, const char *name,
								   int encoding);
extern void pool_view_row_put_time(PoolViewRow *row, TimestampTz time);
extern void pool_view_row_put_clock(PoolViewRow *row, int64 clock_us);
extern void pool_view_row_put_pid(PoolViewRow *row, int pid);
extern void pool_view_row_put_identity(PoolViewRow *row, const Pool *pool);
extern void pool_view_row_store(PoolViewRow *row, ReturnSetInfo *rsinfo);
extern bool pool_view_row_is_visible(const Pool *pool);

#endif /* POOL_VIEW_ROW_H */
