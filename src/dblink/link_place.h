/*
 * link_place.h
 *		Where a link leads to.
 */
#ifndef POOL_LINK_PLACE_H
#define POOL_LINK_PLACE_H

#include "dblink/link.h"

extern void pool_link_place_find(PoolLink *link, const char *place);

#endif /* POOL_LINK_PLACE_H */
