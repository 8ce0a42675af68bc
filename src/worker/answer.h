/*
 * answer.h
 *		A remote's answer to statements of the worker itself.
 */
#ifndef POOL_ANSWER_H
#define POOL_ANSWER_H

#include "worker/parameters.h"

/* What comes next, besides messages that may come at any time. */
typedef enum PoolAnswerPhase
{
	POOL_ANSWER_PARSED, /* ParseComplete */
	POOL_ANSWER_BOUND,	/* BindComplete */
	POOL_ANSWER_ROWS,	/* rows, or the end of the statement */
	POOL_ANSWER_READY,	/* ReadyForQuery */
	POOL_ANSWER_END		/* nothing: all statements are answered */
} PoolAnswerPhase;

typedef enum PoolAnswerResult
{
	POOL_ANSWER_MORE, /* it goes on */
	POOL_ANSWER_GOOD, /* it has come to its end, outside of a transaction */
	POOL_ANSWER_BAD	  /* it is another one than was expected */
} PoolAnswerResult;

/*
 * The answer, as far as it has been read.  Of the body of a message no more is
 * kept than a parameter needs.
 */
typedef struct PoolAnswer
{
	int statements; /* that are not answered to their ends */
	PoolAnswerPhase phase;
	char transaction; /* its status, of the last ReadyForQuery */
	int64 bytes;	  /* read so far */

	/* The message that is being read. */
	char head[5]; /* type and length */
	int nhead;
	char body[POOL_PARAMETERS_LEN + 64];
	int nbody;
	uint32 left; /* bytes of its body that are to come */
} PoolAnswer;

extern void pool_answer_append(StringInfo to, char type, const char *body,
							   int len);
extern void pool_answer_begin(PoolAnswer *answer);
extern void pool_answer_expect(PoolAnswer *answer, const char *sql,
							   StringInfo request);
extern PoolAnswerResult pool_answer_read(PoolAnswer *answer, const char *data,
										 size_t len, PoolParameters *parameters);

#endif /* POOL_ANSWER_H */
