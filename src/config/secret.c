/* The texts that must not be printed. */
#include "config/secret.h"

#include "base/mem.h"
#include "config/url.h"

#include <pthread.h>

/* A shorter secret is masked only where it is the whole text: within another it would hit words by chance. */
#define SECRET_MIN_PART 8

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char **secrets;
static size_t secret_count;

void secret_remember(struct bytes text)
{
    if (!text.len)
        return;
    pthread_mutex_lock(&lock);
    bool known = false;
    for (size_t i = 0; i < secret_count && !known; i++)
        known = bytes_is(text, secrets[i]);
    if (!known) {
        secrets = mem_resize(secrets, (secret_count + 1) * sizeof *secrets);
        secrets[secret_count++] = mem_string_n((const char *)text.data, text.len);
    }
    pthread_mutex_unlock(&lock);
}

/* How many bytes at the start of text are a secret; 0 for none. whole: they would be all of the text. */
static size_t secret_here(const char *text, bool whole)
{
    size_t longest = 0;
    for (size_t i = 0; i < secret_count; i++) {
        size_t len = strlen(secrets[i]);
        if (whole ? strcmp(text, secrets[i]) == 0
                  : len >= SECRET_MIN_PART && len > longest && strncmp(text, secrets[i], len) == 0)
            longest = len;
    }
    return longest;
}

void secret_print_masked(const char *text, struct buf *out)
{
    CLEANUP(buf_free) struct buf url = BUF_EMPTY;
    if (strstr(text, "://")) {
        url_print_masked(text, &url);
        text = buf_string(&url);
    }
    pthread_mutex_lock(&lock);
    if (secret_here(text, true)) {
        buf_append_string(out, SECRET_MASK);
    } else {
        while (*text) {
            size_t len = secret_here(text, false);
            if (len)
                buf_append_string(out, SECRET_MASK);
            else
                buf_append_byte(out, (uint8_t)*text);
            text += len ? len : 1;
        }
    }
    pthread_mutex_unlock(&lock);
}
