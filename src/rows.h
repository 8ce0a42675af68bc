/*
 * rows.h
 *		Rows of the views, built column by column.
 */
#ifndef POOL_ROWS_H
#define POOL_ROWS_H

#include "funcapi.h"

#include "shmem.h"

#define POOL_MAX_COLUMNS 128

typedef struct PoolRow
{
	Datum values[POOL_MAX_COLUMNS];
	bool nulls[POOL_MAX_COLUMNS];
	int n;
} PoolRow;

extern void pool_row_put(PoolRow *row, Datum value);
extern void pool_row_put_null(PoolRow *row);
extern void pool_row_put_text(PoolRow *row, const char *text);
extern void pool_row_put_time(PoolRow *row, TimestampTz time);
extern void pool_row_put_clock(PoolRow *row, int64 clock_us);
extern void pool_row_put_pid(PoolRow *row, int pid);
extern void pool_row_put_identity(PoolRow *row, const Pool *pool);
extern void pool_row_store(PoolRow *row, ReturnSetInfo *rsinfo);
extern bool pool_is_visible(const Pool *pool);

#endif /* POOL_ROWS_H */
