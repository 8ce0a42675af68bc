/*
 * clock.c
 *		A wall clock that 104_clock.pl sets, which preloads this into the server.
 *
 * What the file $POOL_TEST_CLOCK says, a number of seconds, is added to the wall
 * clock.  The clocks that only go forward stay as they are, unless
 * $POOL_TEST_ALL_CLOCKS is set: then so much time has passed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long
offset(void)
{
	const char *path = getenv("POOL_TEST_CLOCK");
	char text[32];
	ssize_t len;
	int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (file < 0)
		return 0;
	len = read(file, text, sizeof(text) - 1);
	close(file);
	text[len > 0 ? len : 0] = '\0';
	return atol(text);
}

int
gettimeofday(struct timeval *restrict now, void *restrict zone)
{
	static int (*real)(struct timeval *, void *) = NULL;
	int result;

	if (real == NULL)
		real = (int (*)(struct timeval *, void *)) dlsym(RTLD_NEXT, "gettimeofday");
	result = real(now, zone);
	now->tv_sec += offset();
	return result;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	static int (*real)(clockid_t, struct timespec *) = NULL;
	int result;

	if (real == NULL)
		real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
	result = real(clock, now);
	if (clock == CLOCK_REALTIME || getenv("POOL_TEST_ALL_CLOCKS") != NULL)
		now->tv_sec += offset();
	return result;
}

time_t
time(time_t *to)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (to != NULL)
		*to = now.tv_sec;
	return now.tv_sec;
}
