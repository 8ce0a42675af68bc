/*
 * checker.h
 *		The process that compares the pools with the catalogs.
 */
#ifndef POOL_CHECKER_H
#define POOL_CHECKER_H

extern PGDLLEXPORT void pool_checker_main(Datum arg);

#endif /* POOL_CHECKER_H */
