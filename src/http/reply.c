/*
 * reply.c
 *		What is answered to a request: the metrics, whether the pool is in health, or
 *		that there is nothing else.
 *
 * libmicrohttpd calls these functions, and no error may jump over its frames.  So
 * what could raise one is in PG_TRY.
 *
 * A text is shared by the replies that come soon after each other: it is made anew
 * when it is older than AGE times what it took to make.  So whoever asks as fast as
 * he can has this process spend a part of its time on it, and no more.  And clients
 * that read slowly keep no more than MAX_TEXTS of them in memory.
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/clock.h"
#include "http/reply.h"

#define AGE 4
#define MAX_TEXTS 4

static const PoolEndpoint *endpoint;
static MemoryContext texts;	  /* those that are being sent, and the newest */
static MemoryContext scratch; /* what is needed to make one */
static StringInfoData made; /* being made; static, to be known after an error */
static struct MHD_Response *newest;
static int64 fresh_until; /* of the newest, pool_clock_us() */
static int ntexts;

/* Must be called before anything is answered. */
void
pool_reply_init(const PoolEndpoint *from)
{
	endpoint = from;
	texts = AllocSetContextCreate(TopMemoryContext, "pool metrics texts",
								  ALLOCSET_DEFAULT_SIZES);
	scratch = AllocSetContextCreate(TopMemoryContext, "pool metrics scratch",
									ALLOCSET_DEFAULT_SIZES);
}

/* Nobody is being sent that text any more. */
static void
free_text(void *data)
{
	pfree(data);
	ntexts--;
}

/* Each connection is for one request, so that none is kept busy by pipelining. */
static void
add_headers(struct MHD_Response *response, const char *type)
{
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
}

/* Makes "made"; false if there is no memory for it, which the log is told. */
static bool
make_text(void)
{
	MemoryContext before = CurrentMemoryContext;

	made.data = NULL;
	PG_TRY();
	{
		MemoryContextSwitchTo(texts);
		initStringInfo(&made);
		MemoryContextSwitchTo(scratch);
		endpoint->append_metrics(&made, true);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(before);
		EmitErrorReport();
		FlushErrorState();
		if (made.data != NULL)
			pfree(made.data);
		made.data = NULL;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(before);
	MemoryContextReset(scratch);
	return made.data != NULL;
}

/* The metrics: the newest text, made anew if need be; NULL if it cannot be made. */
static struct MHD_Response *
get_metrics(void)
{
	int64 begun = pool_clock_us();

	if (newest != NULL && (begun < fresh_until || ntexts >= MAX_TEXTS))
		return newest;
	if (!make_text())
		return NULL;
	if (newest != NULL)
		MHD_destroy_response(newest); /* those who are being sent it keep it */
	ntexts++;
	newest =
		MHD_create_response_from_buffer_with_free_callback(made.len, made.data,
														   free_text);
	if (newest == NULL)
	{
		free_text(made.data);
		return NULL;
	}
	add_headers(newest, "text/plain; version=0.0.4; charset=utf-8");
	fresh_until = pool_clock_us() + (pool_clock_us() - begun) * AGE;
	return newest;
}

static enum MHD_Result
send_line(struct MHD_Connection *connection, unsigned int status,
		  const char *line)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(strlen(line), unconstify(char *, line),
										MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (response == NULL)
		return MHD_NO;
	add_headers(response, "text/plain; charset=utf-8");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result
send_health(struct MHD_Connection *connection)
{
	int stopped = endpoint->stopped_worker();
	char line[64];

	if (stopped == 0)
		return send_line(connection, MHD_HTTP_OK, "ok\n");
	snprintf(line, sizeof(line), "pool worker %d does not run\n", stopped);
	return send_line(connection, MHD_HTTP_SERVICE_UNAVAILABLE, line);
}

/*
 * Called by libmicrohttpd when it has read the head of a request.  It is answered
 * then, before a body is read, and the rest of what the client sends is dropped.
 */
enum MHD_Result
pool_reply_send(void *cls, struct MHD_Connection *connection, const char *url,
				const char *method, const char *version, const char *data,
				size_t *size, void **state)
{
	bool health = strcmp(url, "/healthz") == 0;
	struct MHD_Response *metrics;

	if (!health && strcmp(url, "/metrics") != 0)
		return send_line(connection, MHD_HTTP_NOT_FOUND,
						 "there are /metrics and /healthz\n");
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 &&
		strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return send_line(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
						 "only GET and HEAD are allowed\n");
	if (health)
		return send_health(connection);
	metrics = get_metrics();
	if (metrics == NULL)
		return send_line(connection, MHD_HTTP_SERVICE_UNAVAILABLE,
						 "out of memory\n");
	return MHD_queue_response(connection, MHD_HTTP_OK, metrics);
}
