/*
 * listen_address.h
 *		An address to listen on, as pool.metrics_listen gives it.
 */
#ifndef POOL_LISTEN_ADDRESS_H
#define POOL_LISTEN_ADDRESS_H

#include <sys/socket.h>

typedef struct PoolListenAddress
{
	struct sockaddr_storage address;
	socklen_t length;
	bool loopback; /* who can connect is on this machine */
} PoolListenAddress;

extern bool pool_listen_address_parse(const char *text,
									  PoolListenAddress *result);

#endif /* POOL_LISTEN_ADDRESS_H */
