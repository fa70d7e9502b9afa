/* Objects of one size from slabs, for one thread. Slabs go back to the system when the pool is freed, or when all of
 * their objects are free and more than half of the pool is. Freed objects are poisoned under AddressSanitizer. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pool;

struct pool *pool_new(size_t object_size);
void pool_free(struct pool *p); /* NULL is allowed; every object of it is gone */
void *pool_get(struct pool *p); /* not cleared */
void pool_put(struct pool *p, void *object);
size_t pool_used(const struct pool *p);
/* Visits each object in use, in no order; visit may put the object it is given, and no other. */
void pool_each(struct pool *p, void (*visit)(void *object, void *arg), void *arg);
