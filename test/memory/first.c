/*
 * first.c
 *	  Have AddressSanitizer start before any library does.
 *
 * It starts at the first malloc(), and in doing so asks the C library for a
 * translated message.  Where that malloc() is the C library's own, in the
 * midst of its translations, it is told to wait for itself: libgpg-error, which
 * the server loads, begins with bindtextdomain().  Linked with -z initfirst.
 */
#include <stdlib.h>

__attribute__((constructor)) static void
start(void)
{
	void *volatile memory = malloc(1);

	free(memory);
}
