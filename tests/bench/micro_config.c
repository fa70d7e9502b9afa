/* How long a configuration of a thousand routes takes to read and check. */
#include "micro.h"
#include "route/settings.h"

enum { ROUTES = 1000 };

int main(void)
{
    struct buf text = BUF_EMPTY;
    buf_printf(
        &text,
        "name: bench\nconnections:\n  cache: redis://127.0.0.1:6379/0\n  events: kafka://127.0.0.1:9092\nroutes:\n");
    for (int i = 0; i < ROUTES; i++)
        buf_printf(&text,
                   "  r%d:\n    from: { redis: cache, stream: s%d, group: ferry }\n"
                   "    to: { kafka: events, topic: \"t%d.{{ json.region }}\" }\n",
                   i, i, i);
    struct diagnostics *d = diagnostics_new();
    double began = micro_now();
    struct settings *s = settings_parse("bench.yaml", bytes_of(text.data, text.len), d);
    double took = micro_now() - began;
    if (!s)
        abort();
    micro_print("1000 routes read and checked, ms", took / 1e3);
    settings_unref(s);
    diagnostics_free(d);
    buf_free(&text);
    return 0;
}
