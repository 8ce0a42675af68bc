/*
 * encoding.h
 *		Text that was written in another database.
 */
#ifndef POOL_ENCODING_H
#define POOL_ENCODING_H

extern char *pool_encoding_here(const char *text, int encoding);

#endif /* POOL_ENCODING_H */
