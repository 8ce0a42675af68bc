/*
 * names.c
 *		Host names for 021_hosts.pl, which preloads this into the server.
 *
 * A name that ends in ".test" has the addresses that stand in the file of that
 * name in $POOL_TEST_NAMES, one in each line.  As long as there is no such file
 * the name server does not answer.
 *
 * Like a library for name services that cleans up when its process exits, it does
 * not survive that with a look-up under way.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int hanging = 0;

static void __attribute__((destructor))
clean_up(void)
{
	if (hanging > 0)
		abort();
}

typedef int (*GetAddrInfo)(const char *, const char *, const struct addrinfo *,
						   struct addrinfo **);

int
getaddrinfo(const char *node, const char *service,
			const struct addrinfo *hints, struct addrinfo **result)
{
	GetAddrInfo real = (GetAddrInfo) dlsym(RTLD_NEXT, "getaddrinfo");
	const char *dir = getenv("POOL_TEST_NAMES");
	char path[4096];
	char line[256];
	FILE *file;

	if (dir == NULL || node == NULL || strstr(node, ".test") == NULL ||
		(hints && hints->ai_flags & AI_NUMERICHOST))
		return real(node, service, hints, result);

	snprintf(path, sizeof(path), "%s/%s", dir, node);
	__sync_fetch_and_add(&hanging, 1);
	while ((file = fopen(path, "r")) == NULL)
		usleep(10000);
	__sync_fetch_and_sub(&hanging, 1);
	*result = NULL;
	while (fgets(line, sizeof(line), file) != NULL)
	{
		line[strcspn(line, "\n")] = '\0';
		while (*result != NULL)
			result = &(*result)->ai_next;
		if (real(line, service, hints, result) != 0)
			abort();
	}
	fclose(file);
	return *result ? 0 : EAI_NONAME;
}
