/*
 * literals.h
 *		Whether a statement means the same whenever it is parsed.
 */
#ifndef POOL_LITERALS_H
#define POOL_LITERALS_H

extern bool pool_literals_may_freeze(const char *sql);

#endif /* POOL_LITERALS_H */
