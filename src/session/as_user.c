/*
 * as_user.c
 *		Doing something with the rights of another user of this session.
 *
 * A request or a lease belongs to one user, and can go on while another one is the
 * current user: inside a function of that one, or with SET ROLE in force.
 *
 * What happens in between may raise an error.  Then the abort of the transaction or
 * subtransaction sets the user back, as it does for SECURITY DEFINER functions; until
 * then there is only clean-up, which asks for nobody's rights.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "session/as_user.h"

/*
 * That user is the current one from here to pool_as_user_end(), even if SET ROLE comes
 * in between: that is refused, as in a function that is SECURITY DEFINER.
 */
void
pool_as_user_begin(Oid user, PoolAsUser *before)
{
	GetUserIdAndSecContext(&before->user, &before->context);
	if (user != before->user)
		SetUserIdAndSecContext(user,
							   before->context | SECURITY_LOCAL_USERID_CHANGE);
}

/* The user is the one from before. */
void
pool_as_user_end(const PoolAsUser *before)
{
	SetUserIdAndSecContext(before->user, before->context);
}
