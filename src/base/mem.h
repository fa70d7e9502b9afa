/* Allocation that cannot fail: without memory the daemon stops, and its sources hold what was not settled. */
#pragma once

#include <stdlib.h>

void *mem_alloc(size_t size);               /* not cleared */
void *mem_zero(size_t size);                /* cleared */
void *mem_array(size_t count, size_t size); /* cleared; overflow-checked */
void *mem_resize(void *p, size_t size);
void *mem_resize_array(void *p, size_t count, size_t size); /* new elements not cleared; overflow-checked */
void *mem_dup(const void *p, size_t size);
char *mem_string(const char *s); /* NULL stays NULL */
char *mem_string_n(const char *s, size_t len);
char *mem_format(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Says that there is no memory, without needing any, and aborts: for who allocates by other means. Any thread. */
_Noreturn void mem_exhausted(void);

/* For a scope's end: CLEANUP(buf_free) struct buf b = BUF_EMPTY; */
#define CLEANUP(fn)                   __attribute__((cleanup(fn)))
#define CONTAINER_OF(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))
#define ARRAY_LEN(a)                  (sizeof(a) / sizeof((a)[0]))
