/* Expands ${NAME}, ${NAME:-default}, ${file:PATH} and ${credential:NAME} in a value, once; "$${" is a literal "${". */
#include "config/document_private.h"
#include "config/secret.h"

#include "base/mem.h"
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#define SECRET_MAX_BYTES ((size_t)1 << 20)

struct expansion {
    struct mark at;
    struct buf *out;
    bool *secret;
    struct diagnostics *d;
};

/* One trailing newline is the editor's, not the secret's. */
static bool expand_file(struct expansion *x, const char *reference, const char *path)
{
    CLEANUP(buf_free) struct buf content = BUF_EMPTY;
    if (!file_read(path, SECRET_MAX_BYTES, &content)) {
        diagnostics_error(x->d, x->at, "${%s}: %s cannot be read: %s", reference, path, strerror(errno));
        return false;
    }
    struct bytes text = buf_bytes(&content);
    if (text.len && text.data[text.len - 1] == '\n')
        text.len -= text.len > 1 && text.data[text.len - 2] == '\r' ? 2 : 1;
    buf_append_bytes(x->out, text);
    secret_remember(text);
    *x->secret = true;
    return true;
}

static bool expand_credential(struct expansion *x, const char *reference, const char *name)
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");
    if (!directory) {
        diagnostics_error(x->d, x->at,
                          "${%s}: CREDENTIALS_DIRECTORY is not set; a credential is given by the service manager "
                          "(LoadCredential=)",
                          reference);
        return false;
    }
    if (!*name || *name == '.' || strchr(name, '/')) {
        diagnostics_error(x->d, x->at, "${%s}: expected the name of a credential, without a \"/\"", reference);
        return false;
    }
    char *path = mem_format("%s/%s", directory, name);
    bool ok = expand_file(x, reference, path);
    free(path);
    return ok;
}

static bool expand_variable(struct expansion *x, char *reference)
{
    size_t len = isdigit((unsigned char)*reference) ? 0
                                                    : strspn(reference, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                                        "abcdefghijklmnopqrstuvwxyz0123456789_");
    const char *fallback = strncmp(reference + len, ":-", 2) == 0 ? reference + len + 2 : NULL;
    if (!len || (reference[len] && !fallback)) {
        CLEANUP(buf_free) struct buf shown = BUF_EMPTY;
        text_escape(&shown, bytes_of_string(reference), 40);
        diagnostics_error(x->d, x->at,
                          "found ${%s}, expected ${NAME}, ${NAME:-default}, ${file:PATH} or ${credential:NAME}; write "
                          "$${ for a literal ${",
                          buf_string(&shown));
        return false;
    }
    reference[len] = 0;
    const char *value = getenv(reference);
    if (fallback && (!value || !*value))
        value = fallback;
    if (!value) {
        diagnostics_error(x->d, x->at,
                          "${%s}: the environment variable %s is not set; ${%s:-default} would do without it",
                          reference, reference, reference);
        return false;
    }
    buf_append_string(x->out, value);
    return true;
}

static bool expand(struct expansion *x, struct bytes inside)
{
    char *reference = mem_string_n((const char *)inside.data, inside.len);
    bool ok;
    if (strncmp(reference, "file:", 5) == 0) {
        char *path = path_beside(x->at.file, reference + 5);
        ok = expand_file(x, reference, path);
        free(path);
    } else if (strncmp(reference, "credential:", 11) == 0) {
        ok = expand_credential(x, reference, reference + 11);
    } else {
        ok = expand_variable(x, reference);
    }
    free(reference);
    return ok;
}

bool interpolate(struct bytes text, struct mark at, struct buf *out, bool *secret, struct diagnostics *d)
{
    struct expansion x = { at, out, secret, d };
    bool ok = true, expanded = false;
    const uint8_t *end = text.data + text.len;
    for (const uint8_t *p = text.data; p < end;) {
        size_t left = (size_t)(end - p);
        const uint8_t *dollar = memchr(p, '$', left);
        buf_append(out, p, dollar ? (size_t)(dollar - p) : left);
        if (!dollar)
            break;
        p = dollar;
        left = (size_t)(end - p);
        if (left >= 3 && memcmp(p, "$${", 3) == 0) {
            buf_append_string(out, "${");
            p += 3;
        } else if (left >= 2 && p[1] == '{') {
            const uint8_t *close = memchr(p, '}', left);
            if (!close) {
                diagnostics_error(d, at, "a \"${\" is not closed by a \"}\"; write $${ for a literal ${");
                return false;
            }
            ok = expand(&x, bytes_of(p + 2, (size_t)(close - p - 2))) && ok;
            expanded = true;
            p = close + 1;
        } else {
            buf_append_byte(out, *p++);
        }
    }
    if (ok && expanded && (memchr(buf_string(out), 0, out->len) || !text_is_utf8(buf_bytes(out)))) {
        diagnostics_error(d, at, "what was put in for a \"${\" is not a text in UTF-8");
        return false;
    }
    return ok;
}
