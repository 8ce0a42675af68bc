/*
 * libpq_options.h
 *		libpq's options: which there are, and who may write them where.
 */
#ifndef POOL_LIBPQ_OPTIONS_H
#define POOL_LIBPQ_OPTIONS_H

/* One of libpq's options. */
typedef struct PoolLibpqOption
{
	const char *name;
	int contexts; /* POOL_ON_...: where it may be written, 0: nowhere */

	/*
	 * The value speaks for the operating system's user who runs the server,
	 * so for a role that has to show a password it is used only if a
	 * superuser wrote it into its mapping.
	 */
	bool identity;
	bool superuser; /* only a superuser may write it */
} PoolLibpqOption;

/* An array that ends with a name of NULL. */
extern const PoolLibpqOption *pool_libpq_options_table(void);

extern const PoolLibpqOption *pool_libpq_options_find(const char *name);

#endif /* POOL_LIBPQ_OPTIONS_H */
