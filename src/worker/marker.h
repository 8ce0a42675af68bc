/*
 * marker.h
 *		The end of an answer of which nobody knows where it began.
 */
#ifndef POOL_MARKER_H
#define POOL_MARKER_H

#include "worker/answer.h"

/* ParameterDescription, NoData, and ReadyForQuery up to the status. */
#define POOL_MARKER_LEN (23 + 5 + 5)

/* What is looked for, and how much of it has just come. */
typedef struct PoolMarker
{
	char bytes[POOL_MARKER_LEN];
	int seen;
	char transaction; /* its status, when it was found */
} PoolMarker;

extern bool pool_marker_request(PoolMarker *marker, StringInfo request);
extern PoolAnswerResult pool_marker_seek(PoolMarker *marker, const char *data,
										 size_t len);

#endif /* POOL_MARKER_H */
