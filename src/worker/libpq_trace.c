/*
 * libpq_trace.c
 *		Learning the cancel key of a connection from what libpq traces.
 *
 * Before version 17 libpq tells the key nowhere but in the trace of the messages
 * (PQtrace); so the worker has it written into memory while it connects.
 */
#include "postgres.h"

#include "worker/libpq_trace.h"

/* Enough for the start of a session, with room for some notices. */
#define TRACE_SIZE (64 * 1024)

/*
 * Begins to trace what libpq sends and receives.  That has the password in it,
 * so it is kept in one fixed block of memory, which is wiped afterwards.  If
 * there is no memory there is no trace, and the key will not be known.
 */
void
pool_libpq_trace_begin(PoolLibpqTrace *trace, PGconn *conn)
{
	trace->buffer = malloc(TRACE_SIZE);
	if (trace->buffer == NULL)
		return;
	trace->file = fmemopen(trace->buffer, TRACE_SIZE, "w");
	if (trace->file == NULL)
	{
		free(trace->buffer);
		trace->buffer = NULL;
		return;
	}
	setvbuf(trace->file, NULL, _IONBF, 0);
	PQtrace(conn, trace->file);
	PQsetTraceFlags(conn, PQTRACE_SUPPRESS_TIMESTAMPS);
}

/*
 * Ends the trace, if there is one, and wipes it.  If "key" is not NULL, the
 * cancel key of that backend is looked for in it first.  The caller has called
 * PQuntrace().
 */
void
pool_libpq_trace_end(PoolLibpqTrace *trace, PoolCancelKey *key, int backend_pid)
{
	if (trace->file == NULL)
		return;
	fputc('\0', trace->file);
	fclose(trace->file);
	trace->buffer[TRACE_SIZE - 1] = '\0';
	if (key != NULL)
	{
		const char *line = trace->buffer;

		/* The last one counts: hosts tried before may have sent one too. */
		while ((line = strstr(line, "\tBackendKeyData\t")) != NULL)
		{
			key->known = sscanf(line, "\tBackendKeyData\t %d %d", &key->pid,
								&key->secret) == 2;
			line++;
		}
		key->known = key->known && key->pid == backend_pid;
	}
	explicit_bzero(trace->buffer, TRACE_SIZE);
	free(trace->buffer);
	trace->file = NULL;
	trace->buffer = NULL;
}
