/*
 * lookup.c
 *		Looking up a host name without waiting for the name server.
 *
 * getaddrinfo() blocks, for many seconds if a name server does not answer, and
 * nothing else asks all the sources of names that libpq's own look-up would
 * ask.  So each look-up has a thread.  The thread calls getaddrinfo() and
 * write(), touches nothing but its PoolLookup, which is malloc()ed, and takes
 * no signals: to PostgreSQL the worker has one thread.
 *
 * There are at most MAX_LOOKUPS threads, since they count against the limits of
 * the operating system's user.  A thread cannot be stopped.  The state tells who
 * frees the PoolLookup: the thread if the worker has given up on it by then,
 * otherwise the worker.  The worker's exit does not wait for threads, either.
 */
#include "postgres.h"

#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "port/atomics.h"
#include "storage/fd.h"

#include "worker/lookup.h"

/* At a time; each may last for as long as name servers do not respond. */
#define MAX_LOOKUPS 64

typedef enum LookupState
{
	LOOKUP_RUNNING,
	LOOKUP_DONE,
	LOOKUP_GIVEN_UP
} LookupState;

struct PoolLookup
{
	pg_atomic_uint32 state;
	int error;		  /* of getaddrinfo() */
	int system_error; /* errno, if that says EAI_SYSTEM */
	struct addrinfo *addresses;
	char name[FLEXIBLE_ARRAY_MEMBER];
};

/* An eventfd: becomes readable when a look-up is done. */
static int done_event = -1;

/* Running now, those that were given up included. */
static pg_atomic_uint32 nthreads;

/* Was there ever one? */
static bool had_threads = false;

/*
 * Called once, when the worker starts.  Returns a descriptor that becomes
 * readable when a look-up is done.
 */
pgsocket
pool_lookup_init(void)
{
	done_event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (done_event < 0)
		ereport(FATAL, (errcode_for_file_access(),
						errmsg("could not create an event descriptor: %m")));
	ReserveExternalFD();
	pg_atomic_init_u32(&nthreads, 0);
	return done_event;
}

/* Makes the descriptor unreadable again, before the results are looked at. */
void
pool_lookup_clear_event(void)
{
	uint64 count;

	(void) !read(done_event, &count, sizeof(count));
}

static void
free_lookup(PoolLookup *lookup)
{
	if (lookup->addresses != NULL)
		freeaddrinfo(lookup->addresses);
	free(lookup);
}

/* What a thread runs. */
static void *
look_up(void *arg)
{
	PoolLookup *lookup = arg;
	const struct addrinfo hints = {.ai_family = AF_UNSPEC,
								   .ai_socktype = SOCK_STREAM};
	const uint64 one = 1;

	lookup->error = getaddrinfo(lookup->name, NULL, &hints, &lookup->addresses);
	lookup->system_error = errno;
	if (pg_atomic_exchange_u32(&lookup->state, LOOKUP_DONE) == LOOKUP_GIVEN_UP)
		free_lookup(lookup);
	else
		(void) !write(done_event, &one, sizeof(one));
	pg_atomic_fetch_sub_u32(&nthreads, 1);
	return NULL;
}

/*
 * A callback of on_proc_exit(): ends the process at once if it ever had a thread.
 * exit() would call what libraries have to do at the end (those of name services,
 * OpenSSL) while a thread is inside them, and a crash of the worker is one of the
 * whole server.  That a thread is done does not mean that it has left.
 */
void
pool_lookup_at_exit(int code, Datum arg)
{
	if (had_threads)
		_exit(code);
}

/* Starts a thread that takes no signals; returns 0 or an errno. */
static int
start_thread(void *(*function)(void *), void *arg)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t all;
	sigset_t before;
	int result;

	if ((result = pthread_attr_init(&attributes)) != 0)
		return result;
	(void) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	result = pthread_create(&thread, &attributes, function, arg);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	(void) pthread_attr_destroy(&attributes);
	return result;
}

/*
 * Begins to look up the addresses of a name.  The caller ends it by
 * pool_lookup_end().  Returns NULL, with the reason in "problem", if that is not
 * possible.
 */
PoolLookup *
pool_lookup_begin(const char *name, char *problem, size_t size)
{
	PoolLookup *lookup;
	int error;

	if (pg_atomic_read_u32(&nthreads) >= MAX_LOOKUPS)
	{
		strlcpy(problem, "too many host names are being looked up", size);
		return NULL;
	}
	lookup = calloc(1, offsetof(PoolLookup, name) + strlen(name) + 1);
	if (lookup == NULL)
	{
		strlcpy(problem, "out of memory", size);
		return NULL;
	}
	strcpy(lookup->name, name);
	pg_atomic_init_u32(&lookup->state, LOOKUP_RUNNING);
	pg_atomic_fetch_add_u32(&nthreads, 1);
	had_threads = true;
	error = start_thread(look_up, lookup);
	if (error == 0)
		return lookup;
	pg_atomic_fetch_sub_u32(&nthreads, 1);
	free(lookup);
	snprintf(problem, size, "could not start a thread: %s", strerror(error));
	return NULL;
}

/* Returns whether there is a result. */
bool
pool_lookup_is_done(PoolLookup *lookup)
{
	if (pg_atomic_read_u32(&lookup->state) != LOOKUP_DONE)
		return false;
	pg_read_barrier(); /* what the thread wrote before is to be read after */
	return true;
}

/*
 * Returns what a look-up that is done has found; NULL, with the reason in
 * "problem", if that is nothing.
 */
const struct addrinfo *
pool_lookup_result(const PoolLookup *lookup, char *problem, size_t size)
{
	if (lookup->error == 0)
		return lookup->addresses;
	strlcpy(problem,
			lookup->error == EAI_SYSTEM ? strerror(lookup->system_error)
										: gai_strerror(lookup->error),
			size);
	return NULL;
}

/* Ends a look-up, whether it is done or not, and frees its result. */
void
pool_lookup_end(PoolLookup *lookup)
{
	if (pg_atomic_exchange_u32(&lookup->state, LOOKUP_GIVEN_UP) == LOOKUP_DONE)
		free_lookup(lookup);
}
