/*
 * http.h
 *		The process that serves metrics by HTTP.
 */
#ifndef POOL_HTTP_H
#define POOL_HTTP_H

extern PGDLLEXPORT void pool_http_main(Datum arg);

#endif /* POOL_HTTP_H */
