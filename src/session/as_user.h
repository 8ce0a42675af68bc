/*
 * as_user.h
 *		Doing something with the rights of another user of this session.
 */
#ifndef POOL_AS_USER_H
#define POOL_AS_USER_H

/* Who the user was before, and in what security context. */
typedef struct PoolAsUser
{
	Oid user;
	int context;
} PoolAsUser;

extern void pool_as_user_begin(Oid user, PoolAsUser *before);
extern void pool_as_user_end(const PoolAsUser *before);

#endif /* POOL_AS_USER_H */
