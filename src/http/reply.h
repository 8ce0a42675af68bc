/*
 * reply.h
 *		What is answered to a request.
 */
#ifndef POOL_REPLY_H
#define POOL_REPLY_H

#include <microhttpd.h>

#include "metrics/endpoint.h"

extern void pool_reply_init(const PoolEndpoint *from);
extern enum MHD_Result pool_reply_send(void *cls,
									   struct MHD_Connection *connection,
									   const char *url, const char *method,
									   const char *version, const char *data,
									   size_t *size, void **state);

#endif /* POOL_REPLY_H */
