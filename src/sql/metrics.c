/*
 * metrics.c
 *		pool_metrics(): all figures as text, for Prometheus.
 */
#include "postgres.h"

#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "metrics/exposition.h"

PG_FUNCTION_INFO_V1(pool_sql_metrics);

/*
 * The metrics of all pools of all databases, whoever calls: EXECUTE is the
 * privilege.
 */
Datum
pool_sql_metrics(PG_FUNCTION_ARGS)
{
	StringInfoData text;

	initStringInfo(&text);
	pool_exposition_append(&text, GetDatabaseEncoding() == PG_UTF8);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text.data, text.len));
}
