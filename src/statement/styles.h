/*
 * styles.h
 *		Texts whose meaning depends on a setting of the remote session.
 */
#ifndef POOL_STYLES_H
#define POOL_STYLES_H

typedef enum PoolStyle
{
	POOL_STYLE_NONE,
	POOL_STYLE_DATE,	/* depends on DateStyle */
	POOL_STYLE_INTERVAL /* depends on IntervalStyle */
} PoolStyle;

extern PoolStyle pool_styles_of_type(Oid type);
extern void pool_styles_check(PoolStyle style, const char *text);

#endif /* POOL_STYLES_H */
