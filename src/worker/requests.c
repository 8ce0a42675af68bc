/*
 * requests.c
 *		What sessions ask the worker for.
 *
 * listener.c receives the messages and sends the replies; here is decided what
 * the answer is.  A message is no proof of anything: who has a slot leased is
 * read from shared memory, and who sent the message is the kernel's word.
 */
#include "postgres.h"

#include "base/fault.h"
#include "shared/self.h"
#include "shared/shmem.h"
#include "shared/slot.h"
#include "shared/wire.h"
#include "worker/config.h"
#include "worker/conn.h"
#include "worker/listener.h"
#include "worker/loop.h"
#include "worker/requests.h"

/*
 * How many messages are served before connections get a turn: they can come as
 * fast as they are served.
 */
#define MESSAGES_PER_TURN 16

/*
 * Does the message come from the session that has that slot leased?  What the
 * worker holds for a slot is the connection of its generation: that is freed before
 * the slot is.
 */
static bool
may_fetch(const PoolConn *conn, const PoolListenerMessage *message)
{
	const PoolMessage *head = &message->head;
	const PoolSlot *slot = conn->slot;
	bool allowed;

	if (conn->pg == NULL)
		return false;
	LWLockAcquire(&conn->pool->lock, LW_SHARED);
	allowed =
		pool_slot_is(slot, conn->pool, head->generation, POOL_SLOT_LEASED) &&
		slot->owner.pid == message->peer_pid &&
		slot->owner.serial == head->sender.serial;
	LWLockRelease(&conn->pool->lock);
	return allowed;
}

/* A session asks for the descriptor of the slot that it has leased. */
static void
serve_fetch(PoolListenerMessage *message)
{
	int slot = message->head.slot;
	const PoolConn *conn = NULL;

	if (slot >= 0 && slot < pool_shmem->nslots)
		conn = pool_conn_of(&pool_shmem_slots[slot]);
	if (conn != NULL && may_fetch(conn, message))
	{
		POOL_FAULT_POINT(request_allowed);
		pool_listener_send(message,
						   conn->relay.ssl ? conn->relay.session_end
										   : PQsocket(conn->pg),
						   PQbackendPID(conn->pg), &conn->parameters);
	}
	else
		pool_listener_refuse(message);
}

/* Only a session of this server may say how to connect. */
static bool
is_from_session(const PoolListenerMessage *message)
{
	const PoolSessionRef *sender = &message->head.sender;

	return sender->pid == message->peer_pid && pool_self_exists(sender);
}

static void
serve_message(PoolListenerMessage *message, int worker)
{
	POOL_FAULT_POINT(request_begin);
	if (message->head.kind == POOL_MESSAGE_FETCH)
		serve_fetch(message);
	else if (message->head.kind == POOL_MESSAGE_CONFIGURE &&
			 is_from_session(message) && pool_config_accept(message, worker))
	{
		pool_listener_accept(message);
		pool_loop_wake_now();
	}
	else
		pool_listener_refuse(message);
	if (message->head.kind != POOL_MESSAGE_FETCH)
		pool_listener_wipe();
	POOL_FAULT_POINT(request_answered);
}

/*
 * Serves the messages that are at the listener's socket, but no more than a
 * turn's; "worker" is the number of this worker.
 */
void
pool_requests_serve(pgsocket listener, int worker)
{
	for (int i = 0; i < MESSAGES_PER_TURN; i++)
	{
		PoolListenerMessage message;
		PoolListenerResult result = pool_listener_receive(listener, &message);

		if (result == POOL_LISTENER_EMPTY)
			break;
		if (result == POOL_LISTENER_MESSAGE)
			serve_message(&message, worker);
	}
}
