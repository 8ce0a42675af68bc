/*
 * connect_error.c
 *		Why an attempt to connect failed.
 *
 * The error is told to those who wait, shown in pool_stats and written to the
 * log.  It goes to sessions of databases with other encodings, so its text is
 * kept to ASCII.
 */
#include "postgres.h"

#include <ctype.h>

#include "utils/timestamp.h"

#include "worker/connect_error.h"

/* The same as POOL_CONNECT_ERROR_FILES, in libpq's words. */
#define LIBPQ_ERROR_FILES "could not create socket: Too many open files"

/* Is it of the option "options": a setting, its value, or a switch? */
static bool
is_of_options(int sqlstate)
{
	return sqlstate == ERRCODE_UNDEFINED_OBJECT ||
		   sqlstate == ERRCODE_INVALID_PARAMETER_VALUE ||
		   sqlstate == ERRCODE_SYNTAX_ERROR;
}

/* Does the SQLSTATE say that trying again cannot help? */
static bool
is_permanent_sqlstate(int sqlstate)
{
	return ERRCODE_TO_CATEGORY(sqlstate) ==
			   ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION ||
		   sqlstate == ERRCODE_INVALID_CATALOG_NAME ||
		   sqlstate == ERRCODE_INSUFFICIENT_PRIVILEGE ||
		   is_of_options(sqlstate) ||
		   sqlstate == ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED;
}

/*
 * Does the message say that trying again cannot help?  That is for what libpq
 * itself finds wrong with encryption and options, which has no SQLSTATE.  The
 * worker sets lc_messages so that libpq's messages are in English; OpenSSL's
 * always are.  A remote that goes away meanwhile is not among these.
 */
static bool
is_permanent_message(const char *message)
{
	static const char *const parts[] = {
		"SSL was required",
		"certificate verify failed",
		"does not match host",
		"does not exist",
		"private key",
		"certificate present",
		"channel binding",
		"protocol version",
		"unsupported protocol",
		"no protocols available",
		"handshake failure",
		"alert certificate",
		"alert bad certificate",
		"alert unknown ca",
		"weak sslmode",

		/* Of values of options */
		" value: \"", /* invalid ... value: "x" */
		"invalid integer value",
		"invalid port number",
		"keepalives parameter must",
		"could not match",
		"could not parse network address",
		"definition of service",
		"service file",
		"require_auth method",
	};

	for (size_t i = 0; i < lengthof(parts); i++)
	{
		if (strstr(message, parts[i]) != NULL)
			return true;
	}
	return false;
}

/*
 * Sets an error of this moment.  The message is made one line of ASCII, without
 * white space at its end.
 */
void
pool_connect_error_set(PoolConnectError *error, int sqlstate,
					   const char *message)
{
	size_t len;

	error->sqlstate = sqlstate;
	error->permanent = is_permanent_sqlstate(sqlstate);
	error->local = strcmp(message, POOL_CONNECT_ERROR_FILES) == 0;
	error->at = GetCurrentTimestamp();
	strlcpy(error->message, message, POOL_ERROR_LEN);
	len = strlen(error->message);
	while (len > 0 && isspace((unsigned char) error->message[len - 1]))
		error->message[--len] = '\0';
	for (char *c = error->message; *c; c++)
	{
		if (IS_HIGHBIT_SET(*c))
			*c = '?';
		else if (isspace((unsigned char) *c))
			*c = ' ';
	}
}

/* Puts the message of what failed before, in the same attempt, in front. */
void
pool_connect_error_prepend(PoolConnectError *error,
						   const PoolConnectError *before)
{
	char message[POOL_ERROR_LEN];

	snprintf(message, sizeof(message), "%s; %s", before->message,
			 error->message);
	strlcpy(error->message, message, POOL_ERROR_LEN);
}

/*
 * Sets an error from libpq's verbose message "...FATAL:  28P01: text\nLOCATION:
 * ...".  libpq has no other way to tell the SQLSTATE of a failed attempt.
 */
void
pool_connect_error_parse(const char *verbose, PoolConnectError *error)
{
	char message[POOL_ERROR_LEN];
	int sqlstate = ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION;
	const char *location = strstr(verbose, "\nLOCATION:");
	int len = (int) (location ? (size_t) (location - verbose) : strlen(verbose));
	const char *code = strstr(verbose, ":  ");
	int head = code ? (int) (code + 3 - verbose) : len;

	if (head + 7 < len &&
		strspn(verbose + head, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") == 5 &&
		verbose[head + 5] == ':')
	{
		code = verbose + head;
		sqlstate = MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]);
		snprintf(message, sizeof(message), "%.*s%.*s", head, verbose,
				 len - head - 7, code + 7);
	}
	else
		snprintf(message, sizeof(message), "%.*s", len, verbose);
	pool_connect_error_set(error, sqlstate, message);
	if (sqlstate == ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION)
	{
		error->permanent = is_permanent_message(error->message);
		error->local = strstr(error->message, LIBPQ_ERROR_FILES) != NULL;
	}
}
