/*
 * proxy.h
 *		A proxy between pool and a remote that speaks the protocol, and does to
 *		what passes through it as a test wants (test/t/PoolTest/Proxy.pm).
 *
 * flow.c has the bytes, fault.c what is done to them, proxy.c the connections
 * and the control.
 */
#ifndef PROXY_H
#define PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define lengthof(array) (sizeof(array) / sizeof((array)[0]))

typedef struct Bytes
{
	char *data;
	size_t len;
	size_t size;
} Bytes;

/* Whose bytes: those that pool sends, or those that the remote sends. */
typedef enum Side
{
	FROM_CLIENT,
	FROM_REMOTE
} Side;

/* What sending waits for, or ends with, at a place in what is to be sent. */
typedef enum StopKind
{
	STOP_UNTIL_READ, /* until the receiver has read what it was sent */
	STOP_FOR_TIME,
	STOP_CUT,
	STOP_RESET /* the same, as if its machine had restarted */
} StopKind;

typedef struct Stop
{
	size_t at;
	StopKind kind;
	int64_t us;
} Stop;

/* One direction of a connection. */
typedef struct Flow
{
	int from; /* sockets; -1: none */
	int to;
	Bytes in;  /* what has come, less than a message */
	Bytes out; /* what is to be sent */
	size_t sent;
	Stop *stops; /* in their order */
	int nstops;
	int stops_size;
	int64_t wait_until; /* of the first stop, if it was reached; else 0 */
	uint64_t bytes;		/* that have come in whole messages */
	uint64_t messages;
	bool drip;	  /* byte by byte */
	bool swallow; /* nothing is passed on any more */
	bool eof;
	bool ended;
} Flow;

/* When a fault is given to a connection */
typedef enum Trigger
{
	ON_CONNECT,	 /* that comes next */
	ON_EXCHANGE, /* in which the client asks something next */
	ON_HANDOVER, /* in which a session proves a handover next */
	ON_UNPROVEN, /* in which something is asked without that, as by the worker */
	ON_NOW		 /* all that there are */
} Trigger;

/* Where in what passes from then on */
typedef enum Place
{
	AT_BYTE,	/* after so many bytes */
	AT_MESSAGE, /* so many bytes into a message, counted from 0; -1: some */
	AT_READY	/* after the ReadyForQuery that ends all that was asked */
} Place;

typedef enum Action
{
	DO_CUT,
	DO_RESET,
	DO_SPLIT,
	DO_DELAY,
	DO_DRIP,
	DO_INJECT,
	DO_STALE,
	DO_GARBAGE,
	DO_LENGTH,
	DO_SWALLOW
} Action;

typedef struct Fault
{
	Trigger trigger;
	bool every; /* not only the next time */
	Side side;
	Place place;
	int64_t n;		/* bytes or messages; once given, of the flow's own count */
	int64_t offset; /* in the message */
	Action action;
	int64_t number; /* milliseconds, bytes, or what is added to a length */
	Bytes text;		/* to inject */
	int kind;		/* in proxy_kinds[], if it was chosen at random; else -1 */
} Fault;

#define MAX_FAULTS 8

typedef struct Conn
{
	Flow flow[2];
	bool used;
	bool cancel;	 /* it brings a cancel request */
	bool held;		 /* which is not passed on yet */
	bool started;	 /* the start-up packet has come */
	bool cut;		 /* it is to be closed */
	int outstanding; /* Syncs, or simple queries, without their ReadyForQuery */
	bool asked;		 /* has asked something since ReadyForQuery */
	bool handover;	 /* a proof was in that */
	bool faulted;	 /* a fault was counted for that */
	int tainted;	 /* kind of what came after the last ReadyForQuery; or -1 */
	Bytes answer;	 /* to a handover, as the remote gave it */
	Fault faults[MAX_FAULTS];
	int nfaults;
} Conn;

typedef struct Kind
{
	const char *name;
	int weight; /* how often it is chosen */
	Side side;
	Place place;
	Action action;
	uint64_t handovers; /* whose exchange it hit */
	uint64_t others; /* that it hit: exchanges of the worker, idle connections */
} Kind;

/* flow.c */
extern int64_t proxy_clock_us(void);
extern void proxy_append(Bytes *to, const char *data, size_t len);
extern void proxy_remove(Bytes *from, size_t len);
extern void proxy_emit(Flow *flow, const char *data, size_t len);
extern void proxy_stop(Flow *flow, StopKind kind, int64_t us);
extern bool proxy_flush(Flow *flow, bool *cut);
extern void proxy_free_flow(Flow *flow);

/* fault.c */
extern Kind proxy_kinds[];
extern const int proxy_nkinds;
extern Bytes proxy_last_answer;
extern uint64_t proxy_fired;
extern uint64_t proxy_handovers;
extern uint64_t proxy_faulted;
extern uint64_t proxy_described; /* statements that clients had described */
extern const char *proxy_add_fault(char *words, Conn *conns, int nconns);
extern void proxy_clear_faults(Conn *conns, int nconns);
extern void proxy_begin_random(uint64_t seed, int percent);
extern void proxy_on_connect(Conn *conn);
extern void proxy_pass(Conn *conn, Side side, const char *message, size_t len);

#endif /* PROXY_H */
