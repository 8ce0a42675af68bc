/*
 * statement.c
 *		A statement and its parameters, in the form that libpq sends.
 *
 * The arguments of the SQL functions become the arrays that
 * PQsendQueryParams() takes.  A value travels as the text that its type's
 * output function makes of it, so that any type that both sides can spell
 * will do; bytes, and arrays of numbers and the like, travel in binary format,
 * which is smaller, or faster by far (binary.c).  The output functions run under
 * settings that do not depend on the session, so that the text means the same on
 * the other side.
 *
 * Everything is in the current memory context or in the arguments
 * themselves, and lives as long as the function call.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "statement/binary.h"
#include "statement/statement.h"
#include "statement/types.h"

/* The protocol counts parameters in 16 bits. */
#define MAX_PARAMS 65535

/*
 * Bytes of a statement with its parameters: what the remote takes in a message,
 * less what the protocol adds around them; and for each parameter.
 */
#define MAX_BYTES (MaxAllocSize - 1024)
#define BYTES_PER_PARAM (4 + 4 + 2) /* type, length, format */

/* What is looked up for a type once, however many values are of it. */
typedef struct ParamType
{
	Oid type;
	Oid sent_as; /* 0: let the remote infer it */
	bool binary;
	bool bytes;		 /* bytea, which is what is sent */
	FmgrInfo output; /* or the send function */
} ParamType;

typedef struct PoolParamTypes
{
	MemoryContext context; /* of this, and of what the functions keep */
	int size;			   /* of "entries" */
	int count;
	int last;		  /* most values are of their neighbor's type */
	bool any_private; /* is one not common to both sides? */
	ParamType entries[FLEXIBLE_ARRAY_MEMBER];
} PoolParamTypes;

/*
 * An empty table for the types of so many arguments, an array counting as one: its
 * values have one type.
 */
static PoolParamTypes *
make_types(MemoryContext context, int nargs)
{
	PoolParamTypes *types =
		MemoryContextAllocZero(context, offsetof(PoolParamTypes, entries) +
											nargs * sizeof(ParamType));

	types->context = context;
	types->size = nargs;
	return types;
}

/* The entry of a type, made when the type is seen for the first time. */
static ParamType *
lookup_type(PoolParamTypes *types, Oid type)
{
	ParamType *entry;
	Oid base;
	Oid output;
	bool varlena;

	if (types->count > 0 && types->entries[types->last].type == type)
		return &types->entries[types->last];
	for (int i = 0; i < types->count; i++)
	{
		if (types->entries[i].type == type)
		{
			types->last = i;
			return &types->entries[i];
		}
	}

	Assert(types->count < types->size);
	base = pool_types_base(type);
	entry = &types->entries[types->count];
	entry->type = type;
	entry->bytes = base == BYTEAOID;
	entry->binary = pool_binary_may_send(base);
	entry->sent_as = pool_types_is_common(base) ? base : InvalidOid;
	if (!OidIsValid(entry->sent_as) && type != UNKNOWNOID)
		types->any_private = true;
	if (entry->binary)
		getTypeBinaryOutputInfo(base, &output, &varlena);
	else
		getTypeOutputInfo(type, &output, &varlena);
	fmgr_info_cxt(output, &entry->output, types->context);
	types->last = types->count++;
	return entry;
}

/* Overrides a setting until the nest level ends, which it opens if need be. */
static void
override_setting(int *nestlevel, const char *name, const char *value)
{
	if (*nestlevel == 0)
		*nestlevel = NewGUCNestLevel();
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

/*
 * Makes output functions write what every server reads alike.  Only settings
 * that stand in the way are touched, since each costs as much as converting a
 * value or two.  Returns what to hand to AtEOXact_GUC(), or 0 if all was well;
 * after an error the end of the (sub)transaction restores the settings.
 *
 * The search path matters for the names that reg... types write, and those
 * can be anywhere inside a type that is not built in.
 */
static int
begin_portable_output(bool write_names)
{
	int nestlevel = 0;

	if (DateStyle != USE_ISO_DATES)
		override_setting(&nestlevel, "datestyle", "ISO");
	if (IntervalStyle != INTSTYLE_POSTGRES)
		override_setting(&nestlevel, "intervalstyle", "postgres");
	/* From 1 upwards the output is exact, and always the same. */
	if (extra_float_digits < 1)
		override_setting(&nestlevel, "extra_float_digits", "3");
	if (write_names && strcmp(namespace_search_path, "pg_catalog") != 0)
		override_setting(&nestlevel, "search_path", "pg_catalog");
	return nestlevel;
}

/* Restores the settings that begin_portable_output() has overridden. */
static void
end_portable_output(int nestlevel)
{
	if (nestlevel != 0)
		AtEOXact_GUC(true, nestlevel);
}

/* Puts one value that is not null into the statement.  Returns its bytes. */
static size_t
set_param(PoolStatement *stmt, int i, ParamType *type, Datum value)
{
	if (type->binary)
	{
		bytea *bytes = type->bytes ? DatumGetByteaPP(value)
								   : SendFunctionCall(&type->output, value);

		stmt->values[i] = VARDATA_ANY(bytes);
		stmt->lengths[i] = VARSIZE_ANY_EXHDR(bytes);
		stmt->formats[i] = 1;
		return stmt->lengths[i];
	}
	stmt->values[i] = OutputFunctionCall(&type->output, value);
	return strlen(stmt->values[i]);
}

/*
 * Raises 54000 if the statement is larger than a message of the protocol can be:
 * the remote would end the session in the middle of it.
 */
static void
refuse_if_too_large(size_t bytes)
{
	if (bytes > MAX_BYTES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("query and parameters are too large"),
						errdetail("Together they can have at most %zu bytes.",
								  (size_t) MAX_BYTES)));
}

/* Raises 54023. */
static void
refuse_if_too_many(int nparams)
{
	if (nparams > MAX_PARAMS)
		ereport(ERROR, (errcode(ERRCODE_TOO_MANY_ARGUMENTS),
						errmsg("a query can have at most %d parameters, not %d",
							   MAX_PARAMS, nparams)));
}

/*
 * Fills in the parameters.  A null has a type too: the remote may need it to
 * choose among functions.
 */
static void
set_params(PoolStatement *stmt, const Datum *args, const Oid *arg_types,
		   const bool *nulls, PoolParamTypes *types)
{
	int nparams = stmt->nparams;
	size_t bytes = stmt->length + (size_t) nparams * BYTES_PER_PARAM;
	int nestlevel;

	stmt->types = palloc(nparams * sizeof(Oid));
	stmt->values = palloc0(nparams * sizeof(char *));
	stmt->lengths = palloc0(nparams * sizeof(int));
	stmt->formats = palloc0(nparams * sizeof(int));

	for (int i = 0; i < nparams; i++)
		stmt->types[i] = lookup_type(types, arg_types[i])->sent_as;

	nestlevel = begin_portable_output(types->any_private);
	for (int i = 0; i < nparams; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (!nulls[i])
			bytes +=
				set_param(stmt, i, lookup_type(types, arg_types[i]), args[i]);
		refuse_if_too_large(bytes);
	}
	end_portable_output(nestlevel);
}

/* A statement of that text, without parameters yet.  The text must last. */
static PoolStatement *
make_statement(const char *sql)
{
	PoolStatement *stmt = palloc0(sizeof(PoolStatement));

	stmt->sql = sql;
	stmt->length = strlen(sql);
	stmt->hash =
		hash_bytes_extended((const unsigned char *) sql, (int) stmt->length, 0);
	return stmt;
}

/*
 * Makes a statement of a text, which must last, and texts for its parameters, NULL
 * for a null, whose types the remote infers.  Raises 54023 and 54000 as
 * pool_statement_from_args() does.
 */
PoolStatement *
pool_statement_from_texts(const char *sql, int nparams, const char **values)
{
	PoolStatement *stmt = make_statement(sql);
	size_t bytes = stmt->length + (size_t) nparams * BYTES_PER_PARAM;

	refuse_if_too_many(nparams);
	for (int i = 0; i < nparams; i++)
		bytes += values[i] != NULL ? strlen(values[i]) : 0;
	refuse_if_too_large(bytes);
	stmt->nparams = nparams;
	stmt->values = values;
	stmt->types = palloc0(nparams * sizeof(Oid));
	stmt->lengths = palloc0(nparams * sizeof(int));
	stmt->formats = palloc0(nparams * sizeof(int));
	return stmt;
}

/*
 * Makes a statement of a function's arguments: the SQL text at index sql_arg,
 * and what follows it, which is nothing, a list of any types, or an array
 * given as VARIADIC.  A null array is an array without elements.
 *
 * What is looked up of the types goes into the site, if there is one.
 *
 * Raises 22004 if the text is null, 54023 for more parameters than the protocol
 * can number, 54000 for more bytes than it can send, and whatever an output
 * function raises.
 */
PoolStatement *
pool_statement_from_args(FunctionCallInfo fcinfo, int sql_arg,
						 PoolCallSite *site)
{
	PoolStatement *stmt;
	PoolParamTypes *known = site != NULL ? site->params : NULL;
	int nargs = PG_NARGS() - (sql_arg + 1);
	Datum *args = NULL;
	Oid *types = NULL;
	bool *nulls = NULL;

	if (PG_ARGISNULL(sql_arg))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("query must not be null")));
	stmt = make_statement(text_to_cstring(PG_GETARG_TEXT_PP(sql_arg)));
	if (nargs > 0)
		stmt->nparams = extract_variadic_args(fcinfo, sql_arg + 1, false, &args,
											  &types, &nulls);
	refuse_if_too_many(stmt->nparams);
	if (stmt->nparams > 0 && types != NULL)
	{
		if (known == NULL)
			known =
				make_types(site != NULL ? site->context : CurrentMemoryContext,
						   nargs);
		if (site != NULL)
			site->params = known;
		set_params(stmt, args, types, nulls, known);
	}
	else
		stmt->nparams = 0;
	refuse_if_too_large(stmt->length);
	return stmt;
}

/*
 * A copy in the current memory context, of a statement whose memory will not last.
 */
PoolStatement *
pool_statement_copy(const PoolStatement *stmt)
{
	PoolStatement *copy = palloc(sizeof(PoolStatement));
	int n = stmt->nparams;

	*copy = *stmt;
	copy->sql = pstrdup(stmt->sql);
	copy->context = stmt->context != NULL ? pstrdup(stmt->context) : NULL;
	if (n == 0)
		return copy;
	copy->types = memcpy(palloc(n * sizeof(Oid)), stmt->types, n * sizeof(Oid));
	copy->lengths =
		memcpy(palloc(n * sizeof(int)), stmt->lengths, n * sizeof(int));
	copy->formats =
		memcpy(palloc(n * sizeof(int)), stmt->formats, n * sizeof(int));
	copy->values = palloc0(n * sizeof(char *));
	for (int i = 0; i < n; i++)
	{
		const char *value = stmt->values[i];
		size_t size;

		if (value == NULL)
			continue;
		size = stmt->formats[i] == 1 ? (size_t) stmt->lengths[i]
									 : strlen(value) + 1;
		copy->values[i] = memcpy(palloc(size), value, size);
	}
	return copy;
}

/*
 * Makes a statement that is not to be executed: the remote describes it as it would
 * for parameters of these types.
 *
 * Raises 42704 for a type that does not exist, 54000 as above.
 */
PoolStatement *
pool_statement_to_describe(const char *sql, int nparams, const Oid *types)
{
	PoolStatement *stmt = make_statement(sql);
	PoolParamTypes *known = make_types(CurrentMemoryContext, nparams);

	stmt->only_describe = true;
	stmt->nparams = nparams;
	stmt->types = palloc(nparams * sizeof(Oid));
	stmt->values = palloc0(nparams * sizeof(char *));
	for (int i = 0; i < nparams; i++)
	{
		if (get_typtype(types[i]) == '\0')
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("type with OID %u does not exist", types[i])));
		stmt->types[i] = lookup_type(known, types[i])->sent_as;
	}
	refuse_if_too_large(stmt->length);
	return stmt;
}

/* How many bytes libpq puts into its buffer for the statement, but for a few. */
size_t
pool_statement_size(const PoolStatement *stmt)
{
	size_t size = stmt->length;

	for (int i = 0; i < stmt->nparams; i++)
	{
		if (stmt->values[i] != NULL)
			size += stmt->formats[i] == 1 ? (size_t) stmt->lengths[i]
										  : strlen(stmt->values[i]);
	}
	return size;
}

/*
 * Whether the text may hold several statements, which only the protocol
 * without parameters can run.  No attempt is made to understand SQL: one
 * statement with a semicolon in a literal or before a comment counts as
 * several, and loses nothing by it.
 */
bool
pool_statement_is_several(const PoolStatement *stmt)
{
	const char *rest;

	if (stmt->nparams > 0)
		return false;
	rest = strchr(stmt->sql, ';');
	if (rest == NULL)
		return false;
	rest++;
	return rest[strspn(rest, " \t\n\r\f\v")] != '\0';
}
