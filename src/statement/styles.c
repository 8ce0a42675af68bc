/*
 * styles.c
 *		Texts whose meaning depends on a setting of the remote session.
 *
 * Dates and intervals are written after DateStyle and IntervalStyle, which a
 * pooled connection has set to ISO and "postgres".  Where a statement changes
 * them for itself alone, by set_config() with is_local, the remote never reports
 * it, and 02/03/2024 could be read as another day.  So the shape of each text is
 * looked at: what the styles that were set can write is told from what all
 * others write by its first characters, or by the lack of letters.
 *
 * Composite types, and what is no built-in type, are not looked into.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

#include "statement/styles.h"

/* What stands around the elements of arrays, ranges and multiranges. */
#define PUNCTUATION "{}[]()\","

/* Which setting governs the text of that type, if any. */
PoolStyle
pool_styles_of_type(Oid type)
{
	Oid element = get_element_type(type);

	switch (OidIsValid(element) ? element : type)
	{
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case DATERANGEOID:
		case TSRANGEOID:
		case TSTZRANGEOID:
		case DATEMULTIRANGEOID:
		case TSMULTIRANGEOID:
		case TSTZMULTIRANGEOID:
			return POOL_STYLE_DATE;
		case INTERVALOID:
			return POOL_STYLE_INTERVAL;
		default:
			return POOL_STYLE_NONE;
	}
}

/*
 * Can that be a date or time as ISO has it, or what stands for one in an array
 * or range?  ISO begins with a year of four digits; the others with two digits
 * or a weekday.
 */
static bool
is_iso_date(const char *piece, size_t len)
{
	size_t digits = strspn(piece, "0123456789");

	if (digits == 0)
		return piece[0] == 'N' || !isupper((unsigned char) piece[0]);
	if (digits < len && piece[digits] == ':')
		return true; /* the bounds of an array */
	return digits >= 4 && digits < len && piece[digits] == '-';
}

/*
 * Can that be an interval in style "postgres"?  It names units, unless it is
 * a time of day alone; iso_8601 begins with P, postgres_verbose with @, and
 * sql_standard has neither.
 */
static bool
is_postgres_interval(const char *piece, size_t len)
{
	bool letters = false;

	if (piece[0] == 'P' || piece[0] == '@')
		return false;
	for (size_t i = 0; i < len; i++)
		letters = letters || isalpha((unsigned char) piece[i]);
	return letters || piece[0] == '=' ||
		   (memchr(piece, ':', len) != NULL && memchr(piece, ' ', len) == NULL);
}

/*
 * Raises 55000 if the text was written after another style than the one that
 * the connection has set.
 */
void
pool_styles_check(PoolStyle style, const char *text)
{
	while (style != POOL_STYLE_NONE)
	{
		size_t len;

		text += strspn(text, PUNCTUATION);
		if (*text == '\0')
			return;
		len = strcspn(text, PUNCTUATION);
		if (!(style == POOL_STYLE_DATE ? is_iso_date(text, len)
									   : is_postgres_interval(text, len)))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("setting \"%s\" of the remote session was changed",
							style == POOL_STYLE_DATE ? "DateStyle"
													 : "IntervalStyle"),
					 errdetail("The text \"%s\" could be read as another value.",
							   pnstrdup(text, len)),
					 errhint("RESET it in the lease, and do not change it in the "
							 "statement that returns such values.")));
		text += len;
	}
}
