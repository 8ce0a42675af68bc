/*
 * libpq_options.c
 *		For 100_security_libpq.pl: the options of this machine's libpq, one in each line.
 */
#include <libpq-fe.h>
#include <stdio.h>

int
main(void)
{
	PQconninfoOption *option = PQconndefaults();

	for (; option && option->keyword; option++)
		puts(option->keyword);
	return 0;
}
