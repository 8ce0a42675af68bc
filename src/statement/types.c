/*
 * types.c
 *		Which types mean the same on both sides of a connection.
 *
 * Values cross the connection as text, or in binary format (binary.c), and the
 * remote names the type of a column by its OID.  Both are of use here only
 * if they mean the same on both sides.  OIDs do for the types that PostgreSQL
 * itself brings along, whose OIDs never change between versions; what a user
 * or an extension made has another OID in every database.
 *
 * There are three questions.  May a parameter be sent under its own type's
 * OID (pool_types_is_common)?  May a result column be given the type that the
 * remote says it has (pool_types_is_portable)?  And may a result column be
 * read as the type that the query asks for (pool_types_fits)?  All three need
 * a transaction, since they read pg_type and pg_cast through the caches.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#include "statement/types.h"

/*
 * Pairs of types with an assignment cast which reading the text form does not
 * replace: the local input function takes the text without complaint, and
 * makes another value of it than the cast would.  Times lose their zone, the
 * two corners of a box become all corners of a polygon, and where lc_monetary
 * says so, the point of a number separates thousands.
 */
static const struct
{
	Oid remote;
	Oid local;
} misread_pairs[] = {
	{TIMESTAMPTZOID, TIMESTAMPOID},
	{TIMESTAMPTZOID, DATEOID},
	{TIMESTAMPTZOID, TIMEOID},
	{TIMETZOID, TIMEOID},
	{BOXOID, POLYGONOID},
	{INT4OID, MONEYOID},
	{INT8OID, MONEYOID},
	{NUMERICOID, MONEYOID},
};

/*
 * Whether a type has the same OID and the same kind of values on both sides:
 * a built-in one that is neither a pseudo-type, nor a catalog's row type, nor
 * for internal use.  A reg... type is not common, although it is built in: its
 * OID is the same, but the objects that its values name are not.
 */
bool
pool_types_is_common(Oid type)
{
	HeapTuple tuple;
	Form_pg_type form;
	char typtype;
	char category;
	Oid element;

	switch (type)
	{
		case REGPROCOID:
		case REGPROCEDUREOID:
		case REGOPEROID:
		case REGOPERATOROID:
		case REGCLASSOID:
		case REGCOLLATIONOID:
		case REGTYPEOID:
		case REGROLEOID:
		case REGNAMESPACEOID:
		case REGCONFIGOID:
		case REGDICTIONARYOID:
			return false;
		case CHAROID:
			/* For internal use, but the only such type outside catalogs. */
			return true;
		case BOOLOID:
		case BYTEAOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case FLOAT4OID:
		case FLOAT8OID:
		case NUMERICOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case UUIDOID:
		case JSONBOID:
			return true; /* as the catalog would say */
		default:
			break;
	}

	if (type >= FirstGenbkiObjectId)
		return false;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		return false; /* a newer remote's */
	form = (Form_pg_type) GETSTRUCT(tuple);
	typtype = form->typtype;
	category = form->typcategory;
	ReleaseSysCache(tuple);

	if (typtype != TYPTYPE_BASE && typtype != TYPTYPE_RANGE &&
		typtype != TYPTYPE_MULTIRANGE)
		return false;
	if (category == 'Z') /* internal use: pg_node_tree and the like */
		return false;
	element = get_element_type(type);
	return !OidIsValid(element) || pool_types_is_common(element);
}

/*
 * Whether a result column of this remote type can have the same type here
 * without anybody having asked for it: reading the text form then gives the
 * value that was written.  Of the common types these are all but money, which
 * is written and read after each side's own lc_monetary, aclitem, which is
 * about roles, and gtsvector, which cannot be read at all.
 */
bool
pool_types_is_portable(Oid type)
{
	Oid element;

	if (!pool_types_is_common(type))
		return false;
	element = get_element_type(type);
	switch (OidIsValid(element) ? element : type)
	{
		case MONEYOID:
		case ACLITEMOID:
		case GTSVECTOROID:
			return false;
		default:
			return true;
	}
}

/* The type below a domain; of built-in types none is a domain. */
Oid
pool_types_base(Oid type)
{
	return type < FirstGenbkiObjectId ? type : getBaseType(type);
}

/* Whether a type may mean something in its own database alone. */
static bool
is_private(Oid type)
{
	char typtype;

	if (type >= FirstGenbkiObjectId)
		return true;
	typtype = get_typtype(type);
	return typtype == '\0' || typtype == TYPTYPE_COMPOSITE;
}

/*
 * Whether the local type would silently make another value of the remote
 * type's text form.  Looks through domains and arrays.
 */
bool
pool_types_misreads(Oid remote, Oid local)
{
	Oid remote_element = get_element_type(remote);
	Oid local_element;

	local = pool_types_base(local);
	local_element = get_element_type(local);
	if (OidIsValid(remote_element) && OidIsValid(local_element))
		return pool_types_misreads(remote_element, local_element);

	for (size_t i = 0; i < lengthof(misread_pairs); i++)
		if (misread_pairs[i].remote == remote && misread_pairs[i].local == local)
			return true;
	return false;
}

/*
 * Whether a column of a remote type may be read as a local type.
 *
 * The rule is that of assignment, as if the value were stored in a column:
 * what INSERT would take without a cast fits.  Beyond that, text fits
 * everything and takes everything, and where one of the types is known to one
 * side alone, only the input function can tell.
 */
bool
pool_types_fits(Oid remote, Oid local)
{
	Oid remote_element;
	Oid local_element;

	local = pool_types_base(local);
	if (remote == local)
		return true;
	if (is_private(remote) || is_private(local))
		return true;
	if (remote == UNKNOWNOID) /* a literal, from a remote older than 10 */
		return true;
	if (TypeCategory(remote) == TYPCATEGORY_STRING ||
		TypeCategory(local) == TYPCATEGORY_STRING)
		return true;

	remote_element = get_element_type(remote);
	local_element = get_element_type(local);
	if (OidIsValid(remote_element) && OidIsValid(local_element))
		return pool_types_fits(remote_element, local_element);

	return !pool_types_misreads(remote, local) &&
		   can_coerce_type(1, &remote, &local, COERCION_ASSIGNMENT);
}

/*
 * A remote type's name for messages, which lives as long as the current memory
 * context; its OID where the name is not known here.  Each result needs the names
 * of its columns, in case of an error, so they are kept: a built-in type keeps its
 * own, too.
 */
const char *
pool_types_describe(Oid remote)
{
	static const char *names[FirstGenbkiObjectId];

	if (remote >= FirstGenbkiObjectId ||
		(names[remote] == NULL && get_typtype(remote) == '\0'))
		return psprintf("OID %u", remote);
	if (names[remote] == NULL)
		names[remote] =
			MemoryContextStrdup(TopMemoryContext, format_type_be(remote));
	return names[remote];
}
