/*
 * http.c
 *		The process that serves metrics by HTTP.
 *
 * It reads shared memory and is connected to no database.  GNU libmicrohttpd reads
 * requests and sends replies (reply.c).  It has no threads, which would run the
 * server's signal handlers: its epoll descriptor is in a WaitEventSet of ours, and
 * MHD_run() does what can be done at once.  So a client keeps nobody waiting, and a
 * signal or the postmaster's end is noticed whatever clients do.
 *
 * What clients can take is bounded: connections, of each address and of all, which
 * also bounds descriptors; the memory of each; how long one may do nothing; and how
 * long one lasts, which libmicrohttpd does not bound, so that is done here.  What
 * cannot be accepted now waits in the kernel's queue.
 */
#include "postgres.h"

#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/signals.h"
#include "http/http.h"
#include "http/reply.h"
#include "metrics/endpoint.h"

#define MAX_CONNECTIONS 32
#define MAX_CONNECTIONS_OF_ADDRESS 16
#define CONNECTION_MEMORY (16 * 1024) /* for the head of a request, in bytes */
#define IDLE_SECONDS 5
#define LIFETIME_US (20 * POOL_CLOCK_US_PER_S)
#define BACKLOG 64

PG_MODULE_MAGIC;

/* A connection, and when it ends at the latest, pool_clock_us(). */
typedef struct Client
{
	bool used;
	MHD_socket sock;
	int64 deadline;
} Client;

static Client clients[MAX_CONNECTIONS];

/* Something that libmicrohttpd relies on does not hold.  It would abort(). */
static void
on_panic(void *cls, const char *file, unsigned int line, const char *reason)
{
	ereport(LOG, (errcode(ERRCODE_INTERNAL_ERROR),
				  errmsg("libmicrohttpd failed at %s, line %u: %s", file, line,
						 reason ? reason : "unknown reason")));
	proc_exit(1); /* to be started again */
}

/* What it says is about clients, who must not fill the log. */
static void on_log(void *cls, const char *format, va_list args)
	pg_attribute_printf(2, 0);

static void
on_log(void *cls, const char *format, va_list args)
{
	char line[256];

	vsnprintf(line, sizeof(line), format, args);
	line[strcspn(line, "\n")] = '\0';
	ereport(DEBUG1, (errmsg_internal("libmicrohttpd: %s", line)));
}

/* A connection begins or ends.  *state is kept with it. */
static void
on_connection(void *cls, struct MHD_Connection *connection, void **state,
			  enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

	if (code == MHD_CONNECTION_NOTIFY_CLOSED)
	{
		if (*state != NULL)
			((Client *) *state)->used = false;
		return;
	}
	for (int i = 0; i < MAX_CONNECTIONS && *state == NULL && info != NULL; i++)
	{
		if (clients[i].used)
			continue;
		clients[i] = (Client){.used = true,
							  .sock = info->connect_fd,
							  .deadline = pool_clock_us() + LIFETIME_US};
		*state = &clients[i];
	}
}

/*
 * Ends connections that have lasted too long: libmicrohttpd finds that their clients
 * are gone.  Returns when to look again.
 */
static int64
end_old_clients(void)
{
	int64 now = pool_clock_us();
	int64 next = PG_INT64_MAX;

	for (int i = 0; i < MAX_CONNECTIONS; i++)
	{
		if (clients[i].used && clients[i].deadline <= now)
		{
			shutdown(clients[i].sock, SHUT_RDWR);
			clients[i].deadline = PG_INT64_MAX;
		}
		if (clients[i].used)
			next = Min(next, clients[i].deadline);
	}
	return next;
}

/* Raises an error if the address is not to be had. */
static int
open_listener(const PoolEndpoint *endpoint)
{
	const PoolListenAddress *address = &endpoint->listen;
	int sock = socket(address->address.ss_family, SOCK_STREAM, 0);
	int on = 1;
	bool taken;

	if (sock >= 0 &&
		setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
		fcntl(sock, F_SETFD, FD_CLOEXEC) == 0 && pg_set_noblock(sock) &&
		bind(sock, (const struct sockaddr *) &address->address,
			 address->length) == 0 &&
		listen(sock, BACKLOG) == 0)
		return sock;
	taken = errno == EADDRINUSE;
	ereport(ERROR,
			(errcode_for_socket_access(),
			 errmsg("could not serve pool metrics on \"%s\": %m",
					endpoint->setting),
			 taken ? errhint("Another process has that port; the pool tries again "
							 "until it is free.")
				   : 0));
}

static struct MHD_Daemon *
start_daemon(int listener)
{
	struct MHD_Daemon *daemon;

	MHD_set_panic_func(on_panic, NULL);
	daemon = MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL,
							  pool_reply_send, NULL, MHD_OPTION_EXTERNAL_LOGGER,
							  on_log, NULL, MHD_OPTION_LISTEN_SOCKET, listener,
							  MHD_OPTION_CONNECTION_LIMIT,
							  (unsigned int) MAX_CONNECTIONS,
							  MHD_OPTION_PER_IP_CONNECTION_LIMIT,
							  (unsigned int) MAX_CONNECTIONS_OF_ADDRESS,
							  MHD_OPTION_CONNECTION_MEMORY_LIMIT,
							  (size_t) CONNECTION_MEMORY,
							  MHD_OPTION_CONNECTION_TIMEOUT,
							  (unsigned int) IDLE_SECONDS,
							  MHD_OPTION_NOTIFY_CONNECTION, on_connection, NULL,
							  MHD_OPTION_END);
	if (daemon == NULL)
		ereport(ERROR, (errcode(ERRCODE_SYSTEM_ERROR),
						errmsg("could not start libmicrohttpd")));
	return daemon;
}

/* How long to wait at most, in milliseconds; -1: until something happens. */
static long
time_to_wait(struct MHD_Daemon *daemon, int64 next_deadline)
{
	long ours = pool_clock_left_ms(next_deadline);
	MHD_UNSIGNED_LONG_LONG theirs;

	if (MHD_get_timeout(daemon, &theirs) != MHD_YES)
		return ours;
	theirs = Min(theirs, INT_MAX);
	return ours < 0 ? (long) theirs : Min(ours, (long) theirs);
}

/* Where the process begins. */
void
pool_http_main(Datum arg)
{
	const PoolEndpoint *endpoint =
		*find_rendezvous_variable(POOL_ENDPOINT_VARIABLE);
	struct MHD_Daemon *daemon;
	const union MHD_DaemonInfo *info;
	WaitEventSet *set;

	pool_signals_accept();
	if (endpoint == NULL || endpoint->version != POOL_ENDPOINT_VERSION)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg(
					 "modules \"pool\" and \"pool_metrics\" are of different versions"),
				 errhint(
					 "Install the same version of both and restart the server.")));

	pool_reply_init(endpoint);
	daemon = start_daemon(open_listener(endpoint));
	info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
	set = pool_create_wait_set(3);
	AddWaitEventToSet(set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	AddWaitEventToSet(set, WL_SOCKET_READABLE, info->epoll_fd, NULL, NULL);
	ereport(LOG,
			(errmsg("pool metrics are served on \"%s\"", endpoint->setting)));

	for (;;)
	{
		WaitEvent event;
		int64 next = end_old_clients();

		WaitEventSetWait(set, time_to_wait(daemon, next), &event, 1,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		pool_signals_handle();
		MHD_run(daemon);
	}
}
