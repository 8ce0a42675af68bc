/*
 * compat.h
 *		What differs between server versions and libpq versions, in one place.
 *
 * Every other file is written for one PostgreSQL; a test of PG_VERSION_NUM or
 * of a LIBPQ_HAS_ macro outside this file is a mistake.  Includes what its
 * macros expand to, and varatt.h, which postgres.h had before version 16.
 */
#ifndef POOL_COMPAT_H
#define POOL_COMPAT_H

#include "catalog/pg_foreign_server.h"
#include "libpq-fe.h"
#include "postmaster/bgworker_internals.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

#if PG_VERSION_NUM < 150000
#error "pool needs PostgreSQL 15 or newer"
#endif

#ifndef LIBPQ_HAS_PIPELINING
#error "pool needs libpq 14 or newer"
#endif

/* Of a function that does not return; stands before "extern". */
#if PG_VERSION_NUM < 180000
#define pg_noreturn __attribute__((noreturn))
#endif

/* The number of this process's PGPROC. */
#if PG_VERSION_NUM >= 170000
#define pool_my_procno() (MyProcNumber)
#else
#define pool_my_procno() (MyProc->pgprocno)
#endif

/* Whether the role may use the server: an AclResult. */
#if PG_VERSION_NUM >= 160000
#define pool_server_aclcheck(server, role) \
	object_aclcheck(ForeignServerRelationId, (server), (role), ACL_USAGE)
#else
#define pool_server_aclcheck(server, role) \
	pg_foreign_server_aclcheck((server), (role), ACL_USAGE)
#endif

/*
 * pg_database.datconnlimit of a database whose DROP broke off:
 * DATCONNLIMIT_INVALID_DB, which the first releases of version 15 lack.
 */
#define POOL_INVALID_DATABASE (-2)

/* A WaitEventSet that lives until it is freed. */
#if PG_VERSION_NUM >= 170000
#define pool_create_wait_set(nevents) CreateWaitEventSet(NULL, (nevents))
#else
#define pool_create_wait_set(nevents) \
	CreateWaitEventSet(TopMemoryContext, (nevents))
#endif

/* The background workers that are registered, in the postmaster. */
#if PG_VERSION_NUM >= 180000
#define pool_foreach_worker(iter) dlist_foreach ((iter), &BackgroundWorkerList)
typedef dlist_iter PoolWorkerIter;
#define pool_worker_entry(iter) \
	dlist_container(RegisteredBgWorker, rw_lnode, (iter).cur)
#else
#define pool_foreach_worker(iter) slist_foreach ((iter), &BackgroundWorkerList)
typedef slist_iter PoolWorkerIter;
#define pool_worker_entry(iter) \
	slist_container(RegisteredBgWorker, rw_lnode, (iter).cur)
#endif

/*
 * What dblink's validator does: since version 18 it knows use_scram_passthrough and
 * refuses OAuth; since 16 its hint is the nearest name instead of all.
 */
#define POOL_DBLINK_18 (PG_VERSION_NUM >= 180000)
#define POOL_DBLINK_HINTS_NEAREST (PG_VERSION_NUM >= 160000)

/* A wait event of our own, where the server has room for that. */
#if PG_VERSION_NUM >= 170000
#define pool_new_wait_event(name) WaitEventExtensionNew(name)
#else
#define pool_new_wait_event(name) ((void) (name), PG_WAIT_EXTENSION)
#endif

/*
 * Whether a result holds some rows of a set of which more will follow; the
 * end of such a set is a result of its own, PGRES_TUPLES_OK without rows.
 */
#ifdef LIBPQ_HAS_CHUNK_MODE
#define POOL_ROWS_STATUS(status) \
	((status) == PGRES_SINGLE_TUPLE || (status) == PGRES_TUPLES_CHUNK)
#else
#define POOL_ROWS_STATUS(status) ((status) == PGRES_SINGLE_TUPLE)
#endif

/* A Sync that leaves with the next flush, where libpq can do that. */
#ifdef LIBPQ_HAS_SEND_PIPELINE_SYNC
#define pool_pipeline_sync_unflushed(conn) PQsendPipelineSync(conn)
#else
#define pool_pipeline_sync_unflushed(conn) PQpipelineSync(conn)
#endif

#endif /* POOL_COMPAT_H */
