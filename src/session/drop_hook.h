/*
 * drop_hook.h
 *		Noticing that a server, user mapping or database is dropped.
 */
#ifndef POOL_DROP_HOOK_H
#define POOL_DROP_HOOK_H

extern void pool_drop_hook_install(void);

#endif /* POOL_DROP_HOOK_H */
