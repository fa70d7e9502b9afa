/* What a template costs a message. */
#include "message/message.h"
#include "message/template.h"
#include "micro.h"

#include <string.h>

enum { ROUNDS = 1000000 };

static struct message *sample(void)
{
    static const char payload[] =
        "{\"region\": \"eu\", \"total\": 120, \"items\": [{\"sku\": \"a-1\", \"price\": 60}, "
        "{\"sku\": \"b-2\", \"price\": 60}], \"customer\": {\"id\": 4711, \"name\": \"Ada\"}}";
    struct message *m = message_new();
    message_set_payload(m, bytes_of(payload, sizeof(payload) - 1));
    message_set_key(m, bytes_of("k4711", 5));
    return m;
}

static void measure(const char *name, const char *text, int rounds)
{
    char *error;
    size_t at;
    struct template *t = template_compile(text, &error, &at);
    if (!t)
        abort();
    struct message *m = sample();
    struct buf out = BUF_EMPTY;
    const char *why;
    double began = micro_now();
    for (int i = 0; i < rounds; i++) {
        buf_clear(&out);
        if (!template_render(t, m, &out, &why))
            abort();
    }
    micro_print(name, (micro_now() - began) / rounds);
    buf_free(&out);
    message_unref(m);
    template_free(t);
}

int main(void)
{
    measure("constant, µs", "orders", ROUNDS);
    measure("{{ key }}, µs", "orders.{{ key }}", ROUNDS);
    measure("{{ json.region }} of 130 bytes, µs", "orders.{{ json.region }}", ROUNDS / 10);
    measure("{{ json.customer.id }} of 130 bytes, µs", "customer:{{ json.customer.id }}", ROUNDS / 10);
    return 0;
}
