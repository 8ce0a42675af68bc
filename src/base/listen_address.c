/*
 * listen_address.c
 *		An address to listen on, as pool.metrics_listen gives it: 127.0.0.1:9899
 *		or [::1]:9899.
 *
 * No names: what they stand for could be another address at the next start, and one
 * that is not loopback.  And no default for either part: who opens a port should
 * see which, and to whom.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/listen_address.h"

/* A port from 1 to 65535, in digits alone; 0: it is none. */
static in_port_t
parse_port(const char *text)
{
	int port = 0;

	for (const char *c = text; *c != '\0'; c++)
	{
		if (*c < '0' || *c > '9' || c - text == 5)
			return 0;
		port = port * 10 + (*c - '0');
	}
	return port <= 65535 ? (in_port_t) port : 0;
}

/* Returns false if the text is no address with a port. */
bool
pool_listen_address_parse(const char *text, PoolListenAddress *result)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *) &result->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) &result->address;
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t) (colon - text) : 0;
	in_port_t port = colon ? parse_port(colon + 1) : 0;
	char host[INET6_ADDRSTRLEN + 2];

	memset(result, 0, sizeof(*result));
	if (port == 0 || length >= sizeof(host))
		return false;
	memcpy(host, text, length);
	host[length] = '\0';
	if (length > 2 && host[0] == '[' && host[length - 1] == ']')
	{
		host[length - 1] = '\0';
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		result->length = sizeof(*v6);
		if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) != 1)
			return false;
		result->loopback = IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
		return true;
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(port);
	result->length = sizeof(*v4);
	if (inet_pton(AF_INET, host, &v4->sin_addr) != 1)
		return false;
	result->loopback = (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
	return true;
}
