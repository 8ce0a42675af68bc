/*
 * check_launch.h
 *		Having the pools compared with the catalogs.
 */
#ifndef POOL_CHECK_LAUNCH_H
#define POOL_CHECK_LAUNCH_H

extern void pool_check_launch_on_round(void);

#endif /* POOL_CHECK_LAUNCH_H */
