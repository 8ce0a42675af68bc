/*
 * aside.h
 *		A set of rows that is put aside, and read later.
 *
 * What it is read as is not known before; reading leaves it as it came, so it can be
 * read again.  To read it runs input functions, and so any code.  Meanwhile it must
 * neither be read nor destroyed: a function of SQL that has found it by a number asks
 * pool_aside_is_being_read() first, and refuses (55006).
 */
#ifndef POOL_ASIDE_H
#define POOL_ASIDE_H

#include "statement/columns.h"
#include "statement/output.h"

typedef struct PoolAside PoolAside;

extern PoolAside *pool_aside_create(const char *server_name, int max_kb,
									bool lasting);
extern void pool_aside_clear(PoolAside *aside);
extern PoolColumns *pool_aside_note(PoolAside *aside, const PGresult *res);
extern void pool_aside_put(PoolAside *aside, const PoolField *fields);
extern int64 pool_aside_bytes(const PoolAside *aside);
extern bool pool_aside_is_being_read(const PoolAside *aside);
extern void pool_aside_read(PoolAside *aside, PoolOutput *output,
							const Datum *lead, const bool *lead_nulls);
extern void pool_aside_destroy(PoolAside *aside);

#endif /* POOL_ASIDE_H */
