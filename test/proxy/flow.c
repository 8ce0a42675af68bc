/*
 * flow.c
 *		Bytes on their way: what is to be sent, and where sending stops.
 *
 * A receiver that is to get its bytes in pieces must have read one piece before
 * the next is sent, or it may get both at once.  The kernel tells how much is
 * unread at the other end (sock_diag(7)), as both ends are on this machine;
 * where it does not, a millisecond has to do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "proxy.h"

/* How long to wait for a receiver who does not read, which is its right. */
#define MAX_WAIT_FOR_READER_US 30000

/* How long if nobody tells whether it has read. */
#define BLIND_WAIT_US 1000

int64_t
proxy_clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

void
proxy_append(Bytes *to, const char *data, size_t len)
{
	if (len == 0)
		return;
	if (to->len + len > to->size)
	{
		to->size = 2 * (to->len + len);
		to->data = realloc(to->data, to->size);
		if (to->data == NULL)
		{
			perror("proxy");
			exit(1);
		}
	}
	memcpy(to->data + to->len, data, len);
	to->len += len;
}

/* Removes what comes first. */
void
proxy_remove(Bytes *from, size_t len)
{
	if (len == 0)
		return;
	from->len -= len;
	memmove(from->data, from->data + len, from->len);
}

/* Sending stops behind what is to be sent by now. */
void
proxy_stop(Flow *flow, StopKind kind, int64_t us)
{
	if (flow->nstops == flow->stops_size)
	{
		flow->stops_size = 2 * flow->stops_size + 16;
		flow->stops = realloc(flow->stops, flow->stops_size * sizeof(Stop));
		if (flow->stops == NULL)
		{
			perror("proxy");
			exit(1);
		}
	}
	flow->stops[flow->nstops++] =
		(Stop){.at = flow->out.len, .kind = kind, .us = us};
}

/* These bytes are to be sent. */
void
proxy_emit(Flow *flow, const char *data, size_t len)
{
	if (flow->swallow)
		return;
	if (!flow->drip)
	{
		proxy_append(&flow->out, data, len);
		return;
	}
	for (size_t i = 0; i < len; i++)
	{
		proxy_append(&flow->out, data + i, 1);
		proxy_stop(flow, STOP_UNTIL_READ, 0);
	}
}

/* How many bytes the other end of the socket has not read; -1: nobody knows. */
static int
unread_at_peer(int sock)
{
	static int diag = -2;
	struct sockaddr_in here, there;
	socklen_t len = sizeof(here);
	struct
	{
		struct nlmsghdr head;
		struct inet_diag_req_v2 body;
	} request = {.head = {.nlmsg_len = sizeof(request),
						  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
						  .nlmsg_flags = NLM_F_REQUEST}};
	union
	{
		struct nlmsghdr head;
		char space[4096];
	} answer;

	if (diag == -2)
		diag = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (diag < 0 || getsockname(sock, (struct sockaddr *) &here, &len) < 0)
		return -1;
	len = sizeof(there);
	if (getpeername(sock, (struct sockaddr *) &there, &len) < 0)
		return -1;
	request.body.sdiag_family = AF_INET;
	request.body.sdiag_protocol = IPPROTO_TCP;
	request.body.idiag_states = ~0U;
	request.body.id.idiag_sport = there.sin_port;
	request.body.id.idiag_dport = here.sin_port;
	request.body.id.idiag_src[0] = there.sin_addr.s_addr;
	request.body.id.idiag_dst[0] = here.sin_addr.s_addr;
	request.body.id.idiag_cookie[0] = INET_DIAG_NOCOOKIE;
	request.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	if (send(diag, &request, sizeof(request), 0) < 0 ||
		recv(diag, &answer, sizeof(answer), 0) < (ssize_t) sizeof(answer.head))
		return -1;
	if (answer.head.nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return -1;
	return (int) ((struct inet_diag_msg *) NLMSG_DATA(&answer.head))->idiag_rqueue;
}

/* Is it time to go on behind the stop? */
static bool
stop_is_over(Flow *flow, const Stop *stop)
{
	int64_t now = proxy_clock_us();
	int unread;

	if (flow->wait_until == 0)
		flow->wait_until =
			now +
			(stop->kind == STOP_FOR_TIME ? stop->us : MAX_WAIT_FOR_READER_US);
	if (stop->kind == STOP_FOR_TIME || now >= flow->wait_until)
		return now >= flow->wait_until;
	unread = unread_at_peer(flow->to);
	if (unread >= 0)
		return unread == 0;
	return now >= flow->wait_until - MAX_WAIT_FOR_READER_US + BLIND_WAIT_US;
}

/*
 * Sends what can be sent by now.  Returns false if the receiver is gone; *cut:
 * the connection is to be cut here.
 */
bool
proxy_flush(Flow *flow, bool *cut)
{
	if (flow->to < 0)
		return true;
	for (;;)
	{
		const Stop *stop = flow->nstops > 0 ? &flow->stops[0] : NULL;
		size_t end = stop != NULL ? stop->at : flow->out.len;

		while (flow->sent < end)
		{
			ssize_t sent = send(flow->to, flow->out.data + flow->sent,
								end - flow->sent, MSG_DONTWAIT | MSG_NOSIGNAL);

			if (sent < 0)
				return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
			flow->sent += sent;
		}
		if (stop == NULL)
			break;
		if (stop->kind == STOP_CUT || stop->kind == STOP_RESET)
		{
			struct linger at_once = {.l_onoff = 1};

			if (stop->kind == STOP_RESET)
				(void) setsockopt(flow->to, SOL_SOCKET, SO_LINGER, &at_once,
								  sizeof(at_once));
			*cut = true;
			return true;
		}
		if (!stop_is_over(flow, stop))
			return true;
		flow->wait_until = 0;
		flow->nstops--;
		memmove(flow->stops, flow->stops + 1, flow->nstops * sizeof(Stop));
	}
	flow->out.len = flow->sent = 0;
	if (flow->eof && !flow->ended)
	{
		(void) shutdown(flow->to, SHUT_WR);
		flow->ended = true;
	}
	return true;
}

void
proxy_free_flow(Flow *flow)
{
	free(flow->in.data);
	free(flow->out.data);
	free(flow->stops);
}
