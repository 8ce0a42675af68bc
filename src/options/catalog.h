/*
 * catalog.h
 *		The rows of a server and a user mapping, and what must be true of them.
 */
#ifndef POOL_CATALOG_H
#define POOL_CATALOG_H

#include "access/htup.h"
#include "foreign/foreign.h"
#include "nodes/pg_list.h"

#include "options/target.h"

extern List *pool_catalog_server_options(HeapTuple row);
extern List *pool_catalog_mapping_options(HeapTuple row);
extern const char *pool_catalog_value(List *options, const char *name);
extern void pool_catalog_check_server(HeapTuple row, const char *server_name);
extern void pool_catalog_check_mapping(HeapTuple row, const char *server_name);
extern bool pool_catalog_knows_wrapper(const ForeignDataWrapper *wrapper,
									   bool *guards);
extern bool pool_catalog_check_wrapper(Oid wrapper_id, const char *server_name);
extern void pool_catalog_check_password(const PoolTarget *target, List *mapping);

#endif /* POOL_CATALOG_H */
