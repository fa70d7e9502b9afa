/* Commands that are written once in a while, through hiredis' formatter. */
#include "endpoint/redis/command.h"

#include "base/mem.h"

#include <hiredis/hiredis.h>
#include <openssl/sha.h>
#include <stdio.h>

enum { WORDS_MAX = 16 };

void command_write(struct buf *out, const struct bytes *words, size_t n)
{
    const char **argv = mem_array(n, sizeof *argv);
    size_t *lengths = mem_array(n, sizeof *lengths);
    for (size_t i = 0; i < n; i++) {
        argv[i] = (const char *)words[i].data;
        lengths[i] = words[i].len;
    }
    char *text = NULL;
    /* int in hiredis 0.14, long long in 1.x. */
    long long len = redisFormatCommandArgv(&text, (int)n, argv, lengths);
    if (len < 0)
        abort(); /* no memory, the formatter's only failure */
    buf_append(out, text, (size_t)len);
    redisFreeCommand(text);
    free(argv);
    free(lengths);
}

void command_strings(struct buf *out, const char *first, ...)
{
    struct bytes words[WORDS_MAX];
    size_t n = 0;
    va_list args;
    va_start(args, first);
    for (const char *s = first; s && n < WORDS_MAX; s = va_arg(args, const char *))
        words[n++] = bytes_of_string(s);
    va_end(args);
    command_write(out, words, n);
}

void script_sha(struct bytes text, char sha[41])
{
    uint8_t digest[SHA_DIGEST_LENGTH];
    SHA1(text.len ? text.data : (const uint8_t *)"", text.len, digest);
    for (size_t i = 0; i < sizeof digest; i++)
        snprintf(sha + 2 * i, 3, "%02x", digest[i]);
}
