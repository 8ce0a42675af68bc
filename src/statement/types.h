/*
 * types.h
 *		Which types mean the same on both sides of a connection.
 */
#ifndef POOL_TYPES_H
#define POOL_TYPES_H

extern bool pool_types_is_common(Oid type);
extern bool pool_types_is_portable(Oid type);
extern Oid pool_types_base(Oid type);
extern bool pool_types_misreads(Oid remote, Oid local);
extern bool pool_types_fits(Oid remote, Oid local);
extern const char *pool_types_describe(Oid remote);

#endif /* POOL_TYPES_H */
