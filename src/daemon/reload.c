/* Reloads the configuration: reads and checks it whole, then hands it to the engine, and tells who asked. */
#include "daemon/reload.h"

#include "base/log.h"
#include "base/mem.h"
#include "daemon/daemon.h"
#include "daemon/notify.h"
#include "daemon/process.h"

#define SUBJECT "reload"

struct reload {
    struct engine *engine;
    struct settings *running;
    struct settings *next; /* being applied; NULL: no reload is under way */
    void (*done)(void *arg, const struct reload_result *result);
    void *arg;
    bool again; /* a signal came meanwhile */
    bool forbidden;
};

struct reload *reload_new(struct engine *engine, struct settings *settings)
{
    struct reload *r = mem_zero(sizeof *r);
    r->engine = engine;
    r->running = settings;
    return r;
}

void reload_free(struct reload *r)
{
    if (!r)
        return;
    settings_unref(r->running);
    settings_unref(r->next);
    free(r);
}

const struct settings *reload_settings(const struct reload *r)
{
    return r->running;
}

static void answer(struct reload *r, const struct reload_result *result)
{
    void (*done)(void *arg, const struct reload_result *result) = r->done;
    r->done = NULL;
    if (done)
        done(r->arg, result);
}

static void refuse(struct reload *r, const char *error, const char *details)
{
    answer(r, &(struct reload_result){ .error = error, .details = details });
}

/* What the process made once and does not change while it runs. */
static void list_restart_needed(const struct settings *a, const struct settings *b, struct buf *out)
{
    const struct {
        bool differs;
        const char *key;
    } keys[] = {
        { strcmp(a->name, b->name) != 0, "name" },
        { a->lanes != b->lanes, "lanes" },
        { memcmp(&a->limits, &b->limits, sizeof a->limits) != 0, "limits" },
        { strcmp(a->admin.socket, b->admin.socket) != 0, "admin.socket" },
        { a->watchdog.stall_us != b->watchdog.stall_us, "watchdog.stall" },
    };
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (keys[i].differs)
            buf_printf(out, "%s%s", out->len ? ", " : "", keys[i].key);
}

static void on_applied(void *arg, const struct engine_change *c)
{
    struct reload *r = arg;
    if (!r->next)
        return; /* forbidden meanwhile, and answered */
    struct buf restart = BUF_EMPTY;
    list_restart_needed(r->running, r->next, &restart);
    settings_unref(r->running);
    r->running = r->next;
    r->next = NULL;
    notify_ready();
    log_notice(SUBJECT, "routes: %u kept, %u changed, %u added, %u removed", c->kept, c->changed, c->added, c->removed);
    if (restart.len)
        log_warning(SUBJECT, "the new %s will hold after a restart only", buf_string(&restart));
    answer(r, &(struct reload_result){ .ok = true, .change = *c, .restart_needed = buf_string(&restart) });
    buf_free(&restart);
    if (r->again) {
        r->again = false;
        reload_signal(r);
    }
}

static void apply(struct reload *r, struct settings *next)
{
    r->next = next;
    process_warn_readable(next);
    notify_reloading();
    engine_apply(r->engine, next, on_applied, r);
}

static void read_again(struct reload *r)
{
    struct diagnostics *d = diagnostics_new();
    struct settings *next = settings_load(r->running->path, d);
    log_diagnostics(d);
    if (next) {
        apply(r, next);
    } else {
        struct buf details = BUF_EMPTY;
        char *error = mem_format("%s has %zu error%s; nothing was changed", r->running->path, diagnostics_errors(d),
                                 diagnostics_errors(d) == 1 ? "" : "s");
        diagnostics_print(d, &details);
        log_error(SUBJECT, "%s", error);
        refuse(r, error, buf_string(&details));
        buf_free(&details);
        free(error);
    }
    diagnostics_free(d);
}

void reload_start(struct reload *r, void (*done)(void *arg, const struct reload_result *result), void *arg)
{
    if (r->forbidden || r->next) {
        const char *error = r->forbidden ? "ferryd is stopping" : "another reload is under way";
        done(arg, &(struct reload_result){ .error = error, .details = "" });
        return;
    }
    r->done = done;
    r->arg = arg;
    read_again(r);
}

void reload_signal(struct reload *r)
{
    if (r->forbidden)
        return;
    if (r->next)
        r->again = true;
    else
        read_again(r);
}

void reload_forbid(struct reload *r)
{
    r->forbidden = true;
    if (!r->next)
        return;
    settings_unref(r->next);
    r->next = NULL;
    refuse(r, "ferryd is stopping", "");
}
