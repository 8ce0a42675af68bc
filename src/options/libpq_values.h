/*
 * libpq_values.h
 *		Values of libpq's options that libpq would refuse.
 */
#ifndef POOL_LIBPQ_VALUES_H
#define POOL_LIBPQ_VALUES_H

#include "nodes/pg_list.h"

extern void pool_libpq_values_check(const char *name, const char *value);
extern void pool_libpq_values_check_together(List *options);

#endif /* POOL_LIBPQ_VALUES_H */
