/*
 * notifications.h
 *		Notifications of the remote that a session keeps until it asks for them.
 */
#ifndef POOL_NOTIFICATIONS_H
#define POOL_NOTIFICATIONS_H

#include "libpq-fe.h"
#include "nodes/pg_list.h"

typedef struct PoolNotification
{
	int remote_pid; /* who notified */
	char *channel;
	char *payload;
} PoolNotification;

/* In the order of their arrival, in TopMemoryContext. */
typedef struct PoolNotifications
{
	List *list; /* of PoolNotification */
} PoolNotifications;

extern void pool_notifications_take(PoolNotifications *notifications,
									PGconn *conn);
extern void pool_notifications_clear(PoolNotifications *notifications);

#endif /* POOL_NOTIFICATIONS_H */
