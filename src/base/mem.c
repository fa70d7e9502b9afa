/* Allocation that ends the process when there is no memory: nobody above can do better. */
#include "base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

_Noreturn void mem_exhausted(void)
{
    static const char line[] = "<2>memory: out of memory, aborting\n";
    ssize_t ignored = write(STDERR_FILENO, line, sizeof(line) - 1);
    (void)ignored;
    abort();
}

static void *checked(void *p)
{
    if (!p)
        mem_exhausted();
    return p;
}

/* malloc(0) may be NULL; one byte never is. */
static size_t at_least_one(size_t size)
{
    return size ? size : 1;
}

void *mem_alloc(size_t size)
{
    return checked(malloc(at_least_one(size)));
}

void *mem_zero(size_t size)
{
    return checked(calloc(1, at_least_one(size)));
}

void *mem_array(size_t count, size_t size)
{
    return checked(calloc(at_least_one(count), at_least_one(size)));
}

void *mem_resize(void *p, size_t size)
{
    return checked(realloc(p, at_least_one(size)));
}

void *mem_resize_array(void *p, size_t count, size_t size)
{
    return checked(reallocarray(p, at_least_one(count), at_least_one(size)));
}

void *mem_dup(const void *p, size_t size)
{
    void *copy = mem_alloc(size);
    if (size)
        memcpy(copy, p, size);
    return copy;
}

char *mem_string(const char *s)
{
    return s ? mem_string_n(s, strlen(s)) : NULL;
}

char *mem_string_n(const char *s, size_t len)
{
    if (len == SIZE_MAX)
        mem_exhausted();
    char *copy = mem_alloc(len + 1);
    if (len)
        memcpy(copy, s, len);
    copy[len] = 0;
    return copy;
}

char *mem_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = NULL;
    if (vasprintf(&text, format, args) < 0)
        mem_exhausted();
    va_end(args);
    return text;
}
