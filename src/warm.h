/*
 * warm.h
 *		Filling pools when the server starts, before anybody asks.
 */
#ifndef POOL_WARM_H
#define POOL_WARM_H

extern void pool_warm_launch(void);
extern PGDLLEXPORT void pool_warm_main(Datum arg);

#endif /* POOL_WARM_H */
