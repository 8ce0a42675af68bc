/*
 * exposition.h
 *		All figures as text, for Prometheus.
 */
#ifndef POOL_EXPOSITION_H
#define POOL_EXPOSITION_H

#include "lib/stringinfo.h"

extern void pool_exposition_append(StringInfo text, bool utf8);

#endif /* POOL_EXPOSITION_H */
