/*
 * warm_launch.h
 *		Starting the processes that tell the worker what to warm.
 */
#ifndef POOL_WARM_LAUNCH_H
#define POOL_WARM_LAUNCH_H

extern void pool_warm_launch(void);

#endif /* POOL_WARM_LAUNCH_H */
