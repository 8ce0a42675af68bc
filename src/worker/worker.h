/*
 * worker.h
 *		The background worker.
 */
#ifndef POOL_WORKER_H
#define POOL_WORKER_H

extern void pool_worker_register(void);
extern PGDLLEXPORT void pool_worker_main(Datum arg);

#endif /* POOL_WORKER_H */
