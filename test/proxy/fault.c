/*
 * fault.c
 *		What is done to the messages that pass: faults that a test has asked for,
 *		and those that are chosen at random for handovers.
 *
 * A fault waits until what triggers it has happened to a connection; then it is
 * that connection's, and is done at its place in what passes from then on.
 *
 * Those at random are for one exchange: what a client asks, up to its Sync, and
 * the answer, up to ReadyForQuery.  An exchange with a proof in it (proof.c) is a
 * handover.  It counts as faulted once a fault was done to it, or to the idle
 * connection just before; one that the exchange ended without is not counted.
 */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy.h"

/* Messages of an exchange in which a fault may be, from the proof on. */
#define CLIENT_MESSAGES 9
#define REMOTE_MESSAGES 14

/* A stale answer after the row with the nonce would be the remote's own. */
#define MESSAGES_TO_NONCE 7

/* In exchanges of the worker one in so many is hit. */
#define WORKER_SHARE 2

Bytes proxy_last_answer;
uint64_t proxy_fired, proxy_handovers, proxy_faulted, proxy_described;

Kind proxy_kinds[] =
	{{"split answer", 300, FROM_REMOTE, AT_MESSAGE, DO_SPLIT, 0, 0},
	 {"split question", 150, FROM_CLIENT, AT_MESSAGE, DO_SPLIT, 0, 0},
	 {"dripped answer", 2, FROM_REMOTE, AT_MESSAGE, DO_DRIP, 0, 0},
	 {"delayed answer", 60, FROM_REMOTE, AT_MESSAGE, DO_DELAY, 0, 0},
	 {"delayed question", 30, FROM_CLIENT, AT_MESSAGE, DO_DELAY, 0, 0},
	 {"notice", 140, FROM_REMOTE, AT_MESSAGE, DO_INJECT, 0, 0},
	 {"notification", 110, FROM_REMOTE, AT_MESSAGE, DO_INJECT, 0, 0},
	 {"parameter", 110, FROM_REMOTE, AT_MESSAGE, DO_INJECT, 0, 0},
	 {"notice when ready", 10, FROM_REMOTE, AT_READY, DO_INJECT, 0, 0},
	 {"stale answer", 12, FROM_REMOTE, AT_MESSAGE, DO_STALE, 0, 0},
	 {"stale answer when ready", 6, FROM_REMOTE, AT_READY, DO_STALE, 0, 0},
	 {"garbage", 5, FROM_REMOTE, AT_MESSAGE, DO_GARBAGE, 0, 0},
	 {"wrong length", 5, FROM_REMOTE, AT_MESSAGE, DO_LENGTH, 0, 0},
	 {"cut answer", 5, FROM_REMOTE, AT_MESSAGE, DO_CUT, 0, 0},
	 {"cut question", 5, FROM_CLIENT, AT_MESSAGE, DO_CUT, 0, 0},
	 {"reset connection", 5, FROM_REMOTE, AT_MESSAGE, DO_RESET, 0, 0}};
const int proxy_nkinds = lengthof(proxy_kinds);

static const char *const triggers[] = {"connect", "exchange", "handover",
									   "unproven", "now"};
static const char *const sides[] = {"client", "remote"};
static const char *const places[] = {"byte", "message", "ready"};
static const char *const actions[] = {"cut",	"reset",  "split", "delay",
									  "drip",	"inject", "stale", "garbage",
									  "length", "swallow"};

static Fault waiting[MAX_FAULTS];
static int nwaiting;
static int random_percent;
static uint64_t random_state;

static uint64_t
random_below(uint64_t limit)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % limit;
}

void
proxy_begin_random(uint64_t seed, int percent)
{
	random_state = seed * 2654435761U + 88172645463325252ULL;
	random_percent = percent;
	for (int i = 0; i < 10; i++)
		(void) random_below(2);
}

static int
index_of(const char *word, const char *const *words, int n)
{
	for (int i = 0; word != NULL && i < n; i++)
	{
		if (strcmp(word, words[i]) == 0)
			return i;
	}
	return -1;
}

static void
append_hex(Bytes *to, const char *hex)
{
	for (; hex[0] != '\0' && hex[1] != '\0'; hex += 2)
	{
		char pair[3] = {hex[0], hex[1], '\0'};
		char byte = (char) strtol(pair, NULL, 16);

		proxy_append(to, &byte, 1);
	}
}

/* What a remote may send at any time */
static void
compose_stray(Bytes *text, const char *kind)
{
	static const char notice[] = "N\0\0\0\x36SNOTICE\0VNOTICE\0C00000\0"
								 "Ma stray notice of the proxy\0";
	static const char notification[] = "A\0\0\0\x1a\0\0\0\1proxy\0payload x\0";
	static const char parameter[] = "S\0\0\0\x18pool.proxy\0some text";

	if (strncmp(kind, "notice", 6) == 0)
		proxy_append(text, notice, sizeof(notice));
	else if (strcmp(kind, "notification") == 0)
		proxy_append(text, notification, sizeof(notification) - 1);
	else
		proxy_append(text, parameter, sizeof(parameter));
	*(uint32_t *) (text->data + 1) = htonl((uint32_t) text->len - 1);
}

static void
count_handover(Conn *conn, int kind)
{
	if (conn->faulted)
		return;
	conn->faulted = true;
	proxy_kinds[kind].handovers++;
	proxy_faulted++;
}

/* A fault is done to what passes: counts it. */
static void
count(Conn *conn, const Fault *fault)
{
	proxy_fired++;
	if (fault->kind < 0)
		return;
	if (fault->place == AT_READY)
	{
		conn->tainted = fault->kind;
		proxy_kinds[fault->kind].others++;
	}
	else if (conn->handover)
		count_handover(conn, fault->kind);
	else
		proxy_kinds[fault->kind].others++;
}

/* Does it, where "len" bytes of a message are still to be sent. */
static void
act(Conn *conn, Fault *fault, char *message, size_t len)
{
	Flow *flow = &conn->flow[fault->side];

	count(conn, fault);
	switch (fault->action)
	{
		case DO_CUT:
			proxy_stop(flow, STOP_CUT, 0);
			flow->swallow = true;
			break;
		case DO_RESET:
			proxy_stop(flow, STOP_RESET, 0);
			flow->swallow = true;
			break;
		case DO_SPLIT:
			proxy_stop(flow, STOP_UNTIL_READ, 0);
			break;
		case DO_DELAY:
			proxy_stop(flow, STOP_FOR_TIME, fault->number);
			break;
		case DO_DRIP:
			flow->drip = true;
			break;
		case DO_INJECT:
			proxy_emit(flow, fault->text.data, fault->text.len);
			break;
		case DO_STALE:
			proxy_emit(flow, proxy_last_answer.data,
					   proxy_last_answer.len - (size_t) fault->number %
												   (proxy_last_answer.len + 1));
			break;
		case DO_GARBAGE:
			for (int64_t i = 0; i < fault->number; i++)
			{
				char byte = (char) (128 + random_below(128));

				proxy_emit(flow, &byte, 1);
			}
			break;
		case DO_LENGTH:
			if (len >= 5)
			{
				uint32_t length;

				memcpy(&length, message + 1, 4);
				length = htonl(ntohl(length) + (uint32_t) fault->number);
				memcpy(message + 1, &length, 4);
			}
			break;
		case DO_SWALLOW:
			flow->swallow = true;
			break;
	}
}

static void
drop_fault(Conn *conn, int i)
{
	if (conn->faults[i].kind >= 0)
		free(conn->faults[i].text.data);
	conn->faults[i] = conn->faults[--conn->nfaults];
}

/* The fault is that connection's from now on. */
static void
give(Conn *conn, const Fault *fault)
{
	Fault *own;

	if (conn->nfaults == MAX_FAULTS)
		return;
	own = &conn->faults[conn->nfaults++];
	*own = *fault;
	if (own->place == AT_BYTE)
		own->n += (int64_t) conn->flow[own->side].bytes;
	else
		own->n += (int64_t) conn->flow[own->side].messages;
}

/* Gives the connection what has waited for that. */
static void
give_waiting(Conn *conn, Trigger trigger)
{
	for (int i = nwaiting - 1; i >= 0; i--)
	{
		if (waiting[i].trigger != trigger)
			continue;
		give(conn, &waiting[i]);
		if (!waiting[i].every)
			waiting[i] = waiting[--nwaiting];
	}
}

/*
 * Perhaps gives the connection one of those that are chosen at random.  A stale
 * answer where nothing is proven would be as good as the right one.
 */
static void
give_random(Conn *conn, int percent)
{
	Fault fault = {.offset = -1};
	int total = 0;
	int pick;

	if (random_percent == 0 || (int) random_below(100) >= percent)
		return;
	for (int i = 0; i < proxy_nkinds; i++)
		total += proxy_kinds[i].weight;
	pick = (int) random_below(total);
	while (pick >= proxy_kinds[fault.kind].weight)
		pick -= proxy_kinds[fault.kind++].weight;
	if (proxy_kinds[fault.kind].action == DO_STALE && !conn->handover)
		return;
	fault.side = proxy_kinds[fault.kind].side;
	fault.place = proxy_kinds[fault.kind].place;
	fault.action = proxy_kinds[fault.kind].action;
	fault.n = (int64_t) random_below(
		fault.side == FROM_CLIENT ? CLIENT_MESSAGES : REMOTE_MESSAGES);
	switch (fault.action)
	{
		case DO_INJECT:
			compose_stray(&fault.text, proxy_kinds[fault.kind].name);
			fault.offset = 0;
			break;
		case DO_STALE: /* with or without its ReadyForQuery */
			fault.n = (int64_t) random_below(MESSAGES_TO_NONCE);
			fault.number = random_below(2) ? 6 : 0;
			fault.offset = 0;
			break;
		case DO_GARBAGE:
			fault.number = 1 + (int64_t) random_below(20);
			fault.offset = 0;
			break;
		case DO_LENGTH:
			fault.number = random_below(2) ? 1 + (int64_t) random_below(300)
										   : -1 - (int64_t) random_below(9);
			fault.offset = 0;
			break;
		case DO_DELAY:
			fault.number = (int64_t) random_below(20) == 0
							   ? 50000
							   : 1 + (int64_t) random_below(2000);
			break;
		default:
			break;
	}
	give(conn, &fault);
}

/* The start-up packet of a connection has come. */
void
proxy_on_connect(Conn *conn)
{
	conn->tainted = -1;
	give_waiting(conn, ON_CONNECT);
	for (int i = 0; i < conn->nfaults; i++)
	{
		Fault *fault = &conn->faults[i];

		if (fault->place == AT_BYTE && fault->n == 0)
		{
			act(conn, fault, NULL, 0);
			drop_fault(conn, i--);
		}
	}
}

static bool
has_text(const char *message, size_t len, const char *text)
{
	return memmem(message, len, text, strlen(text)) != NULL;
}

/* A message of the client: what does it begin? */
static void
before_question(Conn *conn, const char *message, size_t len)
{
	if (conn->outstanding == 0 && !conn->asked && message[0] != 'X')
	{
		conn->asked = true;
		conn->handover = conn->faulted = false;
		conn->answer.len = 0;
		give_waiting(conn, ON_EXCHANGE);
	}
	if (!conn->handover &&
		(message[0] == 'P'
			 ? has_text(message, len, "set_config('application_name'")
			 : message[0] == 'B' && has_text(message, len, " pool ")))
	{
		conn->handover = true;
		proxy_handovers++;
		if (conn->tainted >= 0)
			count_handover(conn, conn->tainted);
		conn->tainted = -1;
		give_waiting(conn, ON_HANDOVER);
		give_random(conn, random_percent);
	}
	if (message[0] == 'S' && !conn->handover)
	{
		give_waiting(conn, ON_UNPROVEN);
		give_random(conn, random_percent / WORKER_SHARE);
	}
	if (message[0] == 'S' || message[0] == 'Q')
		conn->outstanding++;
}

/* The remote has answered all that it was asked. */
static void
on_ready(Conn *conn)
{
	if (conn->handover)
	{
		Bytes spare = proxy_last_answer;

		proxy_last_answer = conn->answer;
		conn->answer = spare;
		conn->answer.len = 0;
	}
	for (int i = 0; i < conn->nfaults; i++)
	{
		Fault *fault = &conn->faults[i];

		if (fault->place == AT_READY)
			act(conn, fault, NULL, 0);
		if (fault->place == AT_READY || fault->kind >= 0)
			drop_fault(conn, i--);
	}
	conn->asked = conn->handover = false;
	conn->flow[FROM_REMOTE].drip = false;
}

/*
 * Passes on one message, with what is to be done in or around it.  A place that
 * is counted in bytes belongs to the message that ends there or goes on.
 */
void
proxy_pass(Conn *conn, Side side, const char *message, size_t len)
{
	static Bytes copy;
	Flow *flow = &conn->flow[side];
	size_t done = 0;
	bool ready = false;

	copy.len = 0;
	proxy_append(&copy, message, len);
	if (side == FROM_CLIENT && conn->started && message[0] == 'D' &&
		message[5] == 'S')
		proxy_described++;
	if (side == FROM_CLIENT && conn->started)
		before_question(conn, message, len);
	if (side == FROM_REMOTE && conn->asked && conn->handover)
		proxy_append(&conn->answer, message, len);
	if (side == FROM_REMOTE && message[0] == 'Z' && conn->outstanding > 0)
		ready = --conn->outstanding == 0;

	for (int i = 0; i < conn->nfaults; i++)
	{
		Fault *fault = &conn->faults[i];
		int64_t at = fault->offset;

		if (fault->side != side || fault->place == AT_READY)
			continue;
		if (fault->place == AT_MESSAGE && fault->n != (int64_t) flow->messages)
			continue;
		if (fault->place == AT_BYTE)
		{
			at = fault->n - (int64_t) flow->bytes;
			if (at <= 0 || at > (int64_t) len)
				continue;
		}
		if (at < 0)
			at = (int64_t) random_below(len + 1);
		if ((size_t) at > len)
			at = (int64_t) len;
		if ((size_t) at > done)
		{
			proxy_emit(flow, copy.data + done, at - done);
			done = at;
		}
		act(conn, fault, copy.data + done, len - done);
		drop_fault(conn, i--);
	}
	proxy_emit(flow, copy.data + done, len - done);
	flow->bytes += len;
	flow->messages++;
	if (ready)
		on_ready(conn);
}

/* Forgets all faults, and has all flow again. */
void
proxy_clear_faults(Conn *conns, int nconns)
{
	nwaiting = 0;
	for (int i = 0; i < nconns; i++)
	{
		while (conns[i].nfaults > 0)
			drop_fault(&conns[i], 0);
		for (int side = 0; side < 2; side++)
			conns[i].flow[side].drip = conns[i].flow[side].swallow = false;
	}
}

/*
 * Reads "[every] trigger side place n offset action [argument]".  Returns what is
 * wrong with it, or NULL.
 */
const char *
proxy_add_fault(char *words, Conn *conns, int nconns)
{
	Fault fault = {.kind = -1};
	char *word = strtok(words, " ");
	int found[4];
	const char *number, *offset, *argument;

	if (word != NULL && strcmp(word, "every") == 0)
	{
		fault.every = true;
		word = strtok(NULL, " ");
	}
	found[0] = index_of(word, triggers, lengthof(triggers));
	found[1] = index_of(strtok(NULL, " "), sides, lengthof(sides));
	found[2] = index_of(strtok(NULL, " "), places, lengthof(places));
	number = strtok(NULL, " ");
	offset = strtok(NULL, " ");
	found[3] = index_of(strtok(NULL, " "), actions, lengthof(actions));
	argument = strtok(NULL, " ");
	if (found[0] < 0 || found[1] < 0 || found[2] < 0 || found[3] < 0)
		return "a word that is not known";
	if (nwaiting == MAX_FAULTS)
		return "too many faults";
	fault.trigger = (Trigger) found[0];
	fault.side = (Side) found[1];
	fault.place = (Place) found[2];
	fault.action = (Action) found[3];
	fault.n = atoll(number);
	fault.offset = atoll(offset);
	if (fault.action == DO_INJECT && argument != NULL)
		append_hex(&fault.text, argument);
	else if (argument != NULL)
		fault.number = atoll(argument);
	if (fault.action == DO_DELAY)
		fault.number *= 1000;
	if (fault.trigger != ON_NOW)
		waiting[nwaiting++] = fault;
	for (int i = 0; i < nconns && fault.trigger == ON_NOW; i++)
	{
		if (conns[i].used && conns[i].started && !conns[i].cancel)
			act(&conns[i], &fault, NULL, 0);
	}
	return NULL;
}
