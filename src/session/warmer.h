/*
 * warmer.h
 *		The process that has pools filled before anybody asks.
 */
#ifndef POOL_WARMER_H
#define POOL_WARMER_H

extern PGDLLEXPORT void pool_warmer_main(Datum arg);

#endif /* POOL_WARMER_H */
