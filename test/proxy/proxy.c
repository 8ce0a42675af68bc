/*
 * proxy.c
 *		The proxy's connections, and its control.
 *
 * proxy PORT FIFO: passes on to 127.0.0.1:PORT what comes to a port of its own,
 * which is the first line that it prints.  Commands are lines that anybody writes
 * to the FIFO; those that have an answer get one line on standard output.  A
 * command holds for all that is sent after it was written.  When standard input
 * ends, so does the proxy.
 *
 *	fault ...			see fault.c
 *	clear				no faults any more
 *	random SEED PERCENT	faults at random, in so many of a hundred handovers
 *	cancels pass|hold|drop	what becomes of cancel requests from now on
 *	cancels release		those that are held are passed on
 *	report				counters, as "name value, ...", when all is sent that can be
 *	last				the answer to the last handover, in hexadecimal digits
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy.h"

#define MAX_CONNS 500
#define READ_SIZE 65536

/* How often to look whether a receiver has read its bytes, in microseconds */
#define LOOK_US 30

/* Codes in the place of a version in the first message */
#define CANCEL_REQUEST 80877102
#define SSL_REQUEST 80877103
#define GSS_REQUEST 80877104

typedef enum CancelMode
{
	CANCELS_PASS,
	CANCELS_HOLD,
	CANCELS_DROP
} CancelMode;

static Conn conns[MAX_CONNS];
static int nconns; /* all that are used are before it */
static struct sockaddr_in remote_address;
static CancelMode cancel_mode;
static uint64_t accepted, cancels;
static uint64_t last_bytes[2], last_messages[2]; /* of the last that started */
static const Conn *last_started;

static uint32_t
read_int32(const char *at)
{
	uint32_t value;

	memcpy(&value, at, 4);
	return ntohl(value);
}

static void
close_conn(Conn *conn)
{
	for (int side = 0; side < 2; side++)
	{
		if (conn->flow[side].from >= 0)
			close(conn->flow[side].from);
		proxy_free_flow(&conn->flow[side]);
	}
	free(conn->answer.data);
	memset(conn, 0, sizeof(*conn));
	if (conn == last_started)
		last_started = NULL;
	while (nconns > 0 && !conns[nconns - 1].used)
		nconns--;
}

static void
set_up_socket(int sock)
{
	int on = 1;

	(void) fcntl(sock, F_SETFL, O_NONBLOCK);
	(void) fcntl(sock, F_SETFD, FD_CLOEXEC);
	(void) setsockopt(sock, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void
accept_client(int listener)
{
	int sock = accept(listener, NULL, NULL);
	Conn *conn = conns;

	if (sock < 0)
		return;
	while (conn < conns + MAX_CONNS && conn->used)
		conn++;
	if (conn == conns + MAX_CONNS)
	{
		close(sock);
		return;
	}
	if (conn >= conns + nconns)
		nconns = (int) (conn - conns) + 1;
	set_up_socket(sock);
	conn->used = true;
	conn->tainted = -1;
	conn->flow[FROM_CLIENT].from = conn->flow[FROM_REMOTE].to = sock;
	conn->flow[FROM_CLIENT].to = conn->flow[FROM_REMOTE].from = -1;
}

static void
connect_remote(Conn *conn)
{
	int sock = socket(AF_INET, SOCK_STREAM, 0);

	if (sock >= 0)
		set_up_socket(sock);
	if (sock < 0 || (connect(sock, (struct sockaddr *) &remote_address,
							 sizeof(remote_address)) < 0 &&
					 errno != EINPROGRESS))
	{
		if (sock >= 0)
			close(sock);
		conn->cut = true;
		return;
	}
	conn->flow[FROM_CLIENT].to = conn->flow[FROM_REMOTE].from = sock;
}

/* The first message of a client, which has no type. */
static void
begin_conn(Conn *conn, const char *message, size_t len)
{
	uint32_t code = read_int32(message + 4);

	if (code == SSL_REQUEST || code == GSS_REQUEST)
	{
		proxy_emit(&conn->flow[FROM_REMOTE], "N", 1);
		return;
	}
	conn->cancel = code == CANCEL_REQUEST;
	if (conn->cancel)
	{
		cancels++;
		conn->held = cancel_mode == CANCELS_HOLD;
		conn->cut = cancel_mode == CANCELS_DROP;
		proxy_emit(&conn->flow[FROM_CLIENT], message, len);
	}
	else
	{
		accepted++;
		last_started = conn;
		proxy_on_connect(conn);
		proxy_pass(conn, FROM_CLIENT, message, len);
	}
	conn->started = true;
	if (!conn->held && !conn->cut)
		connect_remote(conn);
}

/* Passes on what has come, as far as it is whole messages. */
static void
pass_messages(Conn *conn, Side side)
{
	Flow *flow = &conn->flow[side];
	size_t done = 0;

	while (!conn->cut)
	{
		bool typed = conn->started;
		const char *message = flow->in.data + done;
		size_t left = flow->in.len - done;
		size_t len;

		if (left < (typed ? 5 : 8))
			break;
		len = (typed ? 1 : 0) + (size_t) read_int32(message + (typed ? 1 : 0));
		if (left < len)
			break;
		if (typed)
			proxy_pass(conn, side, message, len);
		else
			begin_conn(conn, message, len);
		done += len;
	}
	proxy_remove(&flow->in, done);
	if (conn == last_started)
	{
		last_bytes[side] = flow->bytes;
		last_messages[side] = flow->messages;
	}
}

static void
read_flow(Conn *conn, Side side)
{
	static char data[READ_SIZE];
	Flow *flow = &conn->flow[side];
	ssize_t got = recv(flow->from, data, sizeof(data), MSG_DONTWAIT);

	if (got > 0)
	{
		proxy_append(&flow->in, data, got);
		pass_messages(conn, side);
		return;
	}
	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	proxy_emit(flow, flow->in.data, flow->in.len);
	flow->in.len = 0;
	flow->eof = true;
	if (!conn->held && (got < 0 || flow->to < 0))
		conn->cut =
			true; /* what is held is passed on though its client is gone */
}

static void
flush_conn(Conn *conn)
{
	for (int side = 0; side < 2 && !conn->cut; side++)
	{
		bool cut = false;

		if (!proxy_flush(&conn->flow[side], &cut) || cut)
			conn->cut = true;
	}
	if (conn->cut || (conn->flow[0].ended && conn->flow[1].ended))
		close_conn(conn);
}

static void
print_report(void)
{
	int open = 0, held = 0, canceling = 0;

	for (int i = 0; i < nconns; i++)
	{
		if (conns[i].used)
			flush_conn(&conns[i]);
		open += conns[i].used && !conns[i].cancel;
		held += conns[i].used && conns[i].held;
		canceling += conns[i].used && conns[i].cancel && !conns[i].held;
	}
	printf("accepted %llu, cancels %llu, open %d, held %d, canceling %d",
		   (unsigned long long) accepted, (unsigned long long) cancels, open,
		   held, canceling);
	printf(", fired %llu", (unsigned long long) proxy_fired);
	printf(", client bytes %llu, remote bytes %llu",
		   (unsigned long long) last_bytes[0],
		   (unsigned long long) last_bytes[1]);
	printf(", client messages %llu, remote messages %llu",
		   (unsigned long long) last_messages[0],
		   (unsigned long long) last_messages[1]);
	printf(", handovers %llu, faulted %llu",
		   (unsigned long long) proxy_handovers,
		   (unsigned long long) proxy_faulted);
	printf(", described %llu", (unsigned long long) proxy_described);
	for (int i = 0; i < proxy_nkinds; i++)
		printf(", %s %llu, %s elsewhere %llu", proxy_kinds[i].name,
			   (unsigned long long) proxy_kinds[i].handovers,
			   proxy_kinds[i].name, (unsigned long long) proxy_kinds[i].others);
	printf("\n");
}

static void
set_cancels(const char *mode)
{
	if (strcmp(mode, "release") == 0)
	{
		for (int i = 0; i < nconns; i++)
		{
			if (!conns[i].used || !conns[i].held)
				continue;
			conns[i].held = false;
			connect_remote(&conns[i]);
		}
	}
	else
		cancel_mode = strcmp(mode, "hold") == 0	  ? CANCELS_HOLD
					  : strcmp(mode, "drop") == 0 ? CANCELS_DROP
												  : CANCELS_PASS;
}

static void
obey(char *line)
{
	const char *problem = NULL;
	unsigned long long seed;
	int percent;

	if (strncmp(line, "fault ", 6) == 0)
		problem = proxy_add_fault(line + 6, conns, nconns);
	else if (strcmp(line, "clear") == 0)
		proxy_clear_faults(conns, nconns);
	else if (sscanf(line, "random %llu %d", &seed, &percent) == 2)
		proxy_begin_random(seed, percent);
	else if (strncmp(line, "cancels ", 8) == 0)
		set_cancels(line + 8);
	else if (strcmp(line, "report") == 0)
		print_report();
	else if (strcmp(line, "last") == 0)
	{
		for (size_t i = 0; i < proxy_last_answer.len; i++)
			printf("%02x", (unsigned char) proxy_last_answer.data[i]);
		printf("\n");
	}
	else if (line[0] != '\0')
		problem = "a command that is not known";
	if (problem != NULL)
		fprintf(stderr, "proxy: %s: %s\n", problem, line);
	fflush(stdout);
}

static void
read_control(int control)
{
	static Bytes input;
	char data[READ_SIZE];
	ssize_t got;
	char *end;

	while ((got = read(control, data, sizeof(data))) > 0)
		proxy_append(&input, data, got);
	while (input.len > 0 && (end = memchr(input.data, '\n', input.len)) != NULL)
	{
		*end = '\0';
		obey(input.data);
		proxy_remove(&input, end - input.data + 1);
	}
}

/*
 * What to wait for at a connection's sockets: pollfds for both, from which is
 * read unless there is much to be sent.  Returns how long at most, in microseconds.
 */
static int64_t
watch(Conn *conn, struct pollfd *polled)
{
	int64_t longest = 1000000;

	polled[0] = (struct pollfd){.fd = conn->flow[FROM_CLIENT].from};
	polled[1] = (struct pollfd){.fd = conn->flow[FROM_REMOTE].from};
	for (int side = 0; side < 2 && conn->used; side++)
	{
		Flow *flow = &conn->flow[side];

		if (!flow->eof && flow->out.len < 10 * READ_SIZE)
			polled[side].events |= POLLIN;
		if (flow->wait_until != 0)
		{
			int64_t left = flow->wait_until - proxy_clock_us();

			if (flow->stops[0].kind == STOP_UNTIL_READ && left > LOOK_US)
				left = LOOK_US;
			if (left < longest)
				longest = left > 0 ? left : 0;
		}
		else if (flow->to >= 0 &&
				 (flow->sent < flow->out.len || (flow->eof && !flow->ended)))
			polled[1 - side].events |= POLLOUT;
	}
	for (int i = 0; i < 2; i++)
	{
		if (!conn->used || polled[i].events == 0)
			polled[i].fd = -1;
	}
	return longest;
}

/* One round; returns false when standard input has ended. */
static bool
serve(int listener, int control)
{
	static struct pollfd polled[3 + 2 * MAX_CONNS];
	int64_t longest = 1000000;
	struct timespec limit = {0};
	int n = nconns;

	polled[0] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
	polled[1] = (struct pollfd){.fd = control, .events = POLLIN};
	polled[2] = (struct pollfd){.fd = listener, .events = POLLIN};
	for (int i = 0; i < n; i++)
	{
		int64_t wanted = watch(&conns[i], &polled[3 + 2 * i]);

		if (wanted < longest)
			longest = wanted;
	}
	limit.tv_sec = longest / 1000000;
	limit.tv_nsec = longest % 1000000 * 1000;
	(void) ppoll(polled, 3 + 2 * n, &limit, NULL);

	/* What was written to the control is older than what is read from now on. */
	read_control(control);
	for (int i = 0; i < n; i++)
	{
		Conn *conn = &conns[i];

		for (int side = 0; side < 2; side++)
		{
			const struct pollfd *p = &polled[3 + 2 * i + side];

			if (conn->used && !conn->cut && p->fd >= 0 &&
				p->fd == conn->flow[side].from &&
				(p->revents & (POLLIN | POLLHUP | POLLERR)) &&
				(p->events & POLLIN))
				read_flow(conn, (Side) side);
		}
		if (conn->used)
			flush_conn(conn);
	}
	if (polled[2].revents & POLLIN)
		accept_client(listener);
	return polled[0].revents == 0;
}

int
main(int argc, char **argv)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	socklen_t len = sizeof(address);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	int control;

	if (argc != 3)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	remote_address = address;
	remote_address.sin_port = htons((uint16_t) atoi(argv[1]));
	control = open(argv[2], O_RDWR | O_NONBLOCK);
	if (listener < 0 || control < 0 ||
		bind(listener, (struct sockaddr *) &address, len) < 0 ||
		listen(listener, 500) < 0 ||
		getsockname(listener, (struct sockaddr *) &address, &len) < 0)
	{
		perror("proxy");
		return 1;
	}
	(void) fcntl(listener, F_SETFL, O_NONBLOCK);
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	while (serve(listener, control))
		;
	return 0;
}
