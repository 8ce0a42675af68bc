/*
 * binary.c
 *		Which values can be read and sent as they are kept, not as text.
 *
 * Writing a number or a time as text and reading it again costs both sides more
 * than all else that is done with it.  So a column can come in the binary format
 * of its type, where that is the same in all versions, does not depend on a
 * setting of either session, and the query asks for that very type.
 *
 * Strings are the same bytes in both formats.  They are read as text in either,
 * since the receive functions would take them to be in the encoding of this
 * session's own client.  That is also why arrays of strings, and jsonb, come as
 * text.
 *
 * The same goes for parameters, each by itself.
 *
 * What has come is not trusted: the receive functions check what they read, as
 * they do for any client, and here it is checked that they have read all of it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

#include "statement/binary.h"

/* Has the type a binary format that means the same everywhere? */
static bool
is_plain(Oid type)
{
	switch (type)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case OIDOID:
		case BYTEAOID:
		case UUIDOID:
		case DATEOID:
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
			return true;
		default:
			return false;
	}
}

/* How a column of a remote type that comes in binary is read as a local type. */
PoolBinary
pool_binary_of_type(Oid remote, Oid local)
{
	Oid element;

	switch (remote)
	{
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case NAMEOID:
		case JSONOID:
			return POOL_BINARY_TEXT;
		default:
			break;
	}
	if (remote != local)
		return POOL_BINARY_NONE;
	element = get_element_type(remote);
	return is_plain(OidIsValid(element) ? element : remote) ? POOL_BINARY_VALUE
															: POOL_BINARY_NONE;
}

/*
 * Can all columns of these remote types be read from binary format, as those that
 * the query wants?  NULL: it takes the remote's types.
 */
bool
pool_binary_of_columns(int count, const Oid *types, TupleDesc wanted)
{
	if (wanted != NULL && wanted->natts != count)
		return false;
	for (int i = 0; i < count; i++)
	{
		Oid local =
			wanted != NULL ? TupleDescAttr(wanted, i)->atttypid : types[i];

		if (pool_binary_of_type(types[i], local) == POOL_BINARY_NONE)
			return false;
	}
	return count > 0;
}

/*
 * Is a parameter of that type to be sent in binary format, to whatever server?
 * Bytes are, and arrays; with less than that, nothing is gained.  Not so times:
 * before version 10 they could be floating-point numbers there.
 */
bool
pool_binary_may_send(Oid type)
{
	Oid element = get_element_type(type);

	switch (element)
	{
		case TIMEOID:
		case TIMETZOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case INTERVALOID:
			return false;
		default:
			return type == BYTEAOID ||
				   (OidIsValid(element) && is_plain(element));
	}
}

/*
 * Reads a value, in the current memory context.  Raises 22P03 if the bytes are
 * more than the value, and what the receive function raises.
 */
Datum
pool_binary_read(FmgrInfo *receive, Oid param, int32 typmod, StringInfo bytes)
{
	Datum value = ReceiveFunctionCall(receive, bytes, param, typmod);

	if (bytes->cursor != bytes->len)
		ereport(ERROR, (errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
						errmsg("incorrect binary data format")));
	return value;
}
