/* Queues, exchanges and bindings from the configuration, as AMQP methods. */
#include "endpoint/rabbitmq/declare.h"

#include "base/mem.h"

static amqp_field_value_t argument_value(const char *text)
{
    int64_t number;
    amqp_field_value_t v = { .kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(text) };
    if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        v.kind = AMQP_FIELD_KIND_BOOLEAN;
        v.value.boolean = text[0] == 't';
    } else if (parse_int(text, &number)) {
        bool small = number >= INT32_MIN && number <= INT32_MAX;
        v.kind = small ? AMQP_FIELD_KIND_I32 : AMQP_FIELD_KIND_I64;
        if (small)
            v.value.i32 = (int32_t)number;
        else
            v.value.i64 = number;
    }
    return v;
}

/* One entry more than the map has, for the caller to use; entries are to be freed. */
static amqp_table_t table_of(const struct string_map *map)
{
    amqp_table_t t = { (int)map->count, mem_array(map->count + 1, sizeof(amqp_table_entry_t)) };
    for (size_t i = 0; i < map->count; i++) {
        t.entries[i].key = amqp_cstring_bytes(map->items[i].name);
        t.entries[i].value = argument_value(map->items[i].value);
    }
    return t;
}

void rabbit_declare_queue(struct rabbit_channel *c, const char *name, const struct queue_declaration *q)
{
    amqp_table_t arguments = table_of(&q->arguments);
    /* Not for classic: it is what a queue is that says nothing, and saying it would be a difference to an existing one. */
    if (q->type != QUEUE_CLASSIC) {
        amqp_table_entry_t *type = &arguments.entries[arguments.num_entries++];
        type->key = amqp_cstring_bytes("x-queue-type");
        type->value = argument_value(q->type == QUEUE_QUORUM ? "quorum" : "stream");
    }
    amqp_queue_declare_t declare = { .queue = amqp_cstring_bytes(name), .durable = q->durable, .arguments = arguments };
    rabbit_channel_send(c, AMQP_QUEUE_DECLARE_METHOD, &declare);
    free(arguments.entries);
    const struct binding_settings *bindings = q->bindings.items;
    for (size_t i = 0; i < q->bindings.count; i++) {
        amqp_queue_bind_t bind = {
            .queue = amqp_cstring_bytes(name),
            .exchange = amqp_cstring_bytes(bindings[i].exchange),
            .routing_key = amqp_cstring_bytes(bindings[i].routing_key),
            .arguments = table_of(&bindings[i].arguments),
        };
        rabbit_channel_send(c, AMQP_QUEUE_BIND_METHOD, &bind);
        free(bind.arguments.entries);
    }
}

void rabbit_declare_exchange(struct rabbit_channel *c, const char *name, const struct exchange_declaration *e)
{
    amqp_exchange_declare_t declare = {
        .exchange = amqp_cstring_bytes(name),
        .type = amqp_cstring_bytes(e->type),
        .durable = e->durable,
        .arguments = table_of(&e->arguments),
    };
    rabbit_channel_send(c, AMQP_EXCHANGE_DECLARE_METHOD, &declare);
    free(declare.arguments.entries);
    const struct binding_settings *bindings = e->bindings.items;
    for (size_t i = 0; i < e->bindings.count; i++) {
        amqp_exchange_bind_t bind = {
            .destination = amqp_cstring_bytes(name),
            .source = amqp_cstring_bytes(bindings[i].exchange),
            .routing_key = amqp_cstring_bytes(bindings[i].routing_key),
            .arguments = table_of(&bindings[i].arguments),
        };
        rabbit_channel_send(c, AMQP_EXCHANGE_BIND_METHOD, &bind);
        free(bind.arguments.entries);
    }
}
