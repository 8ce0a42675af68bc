/*
 * param_casts.h
 *		Whether a statement's text says of which types its parameters are.
 */
#ifndef POOL_PARAM_CASTS_H
#define POOL_PARAM_CASTS_H

extern bool pool_param_casts_are_complete(const char *sql, int nparams,
										  const Oid *types);

#endif /* POOL_PARAM_CASTS_H */
