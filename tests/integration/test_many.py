"""Several sinks, several routes, exchanges of every kind, destinations by template."""
import datetime
import decimal
import json

import pika
import pytest
from support.ends import (KafkaSink, KafkaSource, RabbitExchangeSink, RabbitQueueSink, RabbitQueueSource,
                          RedisListSink, RedisListSource, RedisStreamSink, RedisStreamSource, key_from_header)
from support.message import Maker


def test_fan_out_to_all_brokers(world, ferry, unique):
    """One source, every broker: each sink has everything, in order, and the route counts each message once."""
    source = KafkaSource(world, unique)
    sinks = [kind(world, f"{unique}-{n}") for n, kind in enumerate(
        (RedisStreamSink, RabbitExchangeSink, RabbitQueueSink, KafkaSink, RedisListSink))]
    for end in (source, *sinks):
        end.prepare()
    sent = Maker().many(1500, keys=40, extra=(("again", b"1"), ("again", b""), ("null", None)))
    f = ferry({"connections": world.connections,
               "routes": {"fan": {"from": source.config(), "to": [s.config() for s in sinks]}}}).start()
    f.wait_up()
    source.send(sent)
    f.wait_delivered({"fan": len(sent)})
    route = f.route("fan")
    assert route["counters"]["in"] == len(sent)
    assert [s["counters"]["confirmed"] for s in route["to"]] == [len(sent)] * len(sinks)
    f.stop()
    for sink in sinks:
        sink.check(sent, sink.read(), source).require(type(sink).__name__)
    assert source.backlog() == 0


def test_chain_of_routes(world, ferry, unique):
    """Redis stream, RabbitMQ, Kafka, Redis stream: three routes of one daemon, and the end is like the beginning."""
    first = RedisStreamSource(world, unique + "-a")
    middle = RabbitQueueSource(world, unique + "-b"), KafkaSource(world, unique + "-c")
    last = RedisStreamSink(world, unique + "-d")
    world.rabbit.exchange(unique, "topic")
    world.rabbit.queue(middle[0].name, bind=[(unique, "#")])
    middle[1].prepare()
    sent = Maker().many(2000, keys=100, extra=(("again", b"1"), ("empty", b""), ("again", b"2")))
    f = ferry({"connections": world.connections, "routes": {
        "in": {"from": first.config(), "to": {"rabbitmq": "rabbit", "exchange": unique, "routing_key": "{{ key }}"}},
        "over": {"from": middle[0].config(), "to": {"kafka": "events", "topic": middle[1].name}},
        "out": {"from": middle[1].config(), "to": last.config()}}}).start()
    f.wait_up()
    first.send(sent)
    f.wait_delivered(dict.fromkeys(("in", "over", "out"), len(sent)))
    assert all(r["counters"]["in"] == len(sent) for r in f.routes().values())
    f.stop()
    last.check(sent, last.read(), first).require("the chain")
    assert [s.backlog() for s in (first, *middle)] == [0, 0, 0]


def test_round_trip_of_everything(world, ferry, unique):
    """Kafka, RabbitMQ, Redis stream, Kafka: what a broker on the way cannot hold as it is comes back as it was."""
    source, sink = KafkaSource(world, unique + "-a"), KafkaSink(world, unique + "-d")
    for end in (source, sink):
        end.prepare()
    world.rabbit.queue(unique + "-b")
    every = (("null", None), ("again", b"1"), ("null", None), ("again", b""), ("again", None), ("empty", b""),
             ("binary", bytes(range(256))), ("payload", b"p"), ("key", b"k"),
             ("ferry.empty", b"e"), ("ferry.key", b"f"), ("ferry.header.x", b"h"), ("ä=;#%", b"n"), ("CC", b"c"))
    maker = Maker()
    sent = [maker.make(f"k{n % 4}", size, every) for n, size in enumerate((0, 1, 256, 5000, 0, 1, 256, 1 << 20))]
    sent += [maker.make("t", payload=None), maker.make("t", payload=None, extra=every), maker.make(None, 200, every),
             maker.make("", 200), maker.make("k\0\nä", 200)]
    f = ferry({"connections": world.connections, "routes": {
        "a": {"from": source.config(), "to": {"rabbitmq": "rabbit", "queue": unique + "-b"}},
        "b": {"from": {"rabbitmq": "rabbit", "queue": unique + "-b"}, "to": {"redis": "cache", "stream": unique + "-c"}},
        "c": {"from": {"redis": "cache", "stream": unique + "-c", "group": "g"}, "to": sink.config()}}}).start().wait_up()
    source.send(sent)
    f.wait_delivered(dict.fromkeys("abc", len(sent)))
    f.stop()
    sink.check(sent, sink.read(), source).require("Kafka to Kafka by RabbitMQ and Redis")


def test_amqp_properties_and_types(world, ferry, unique):
    """RabbitMQ's properties and typed headers cross Kafka and a Redis stream as text, and are back in RabbitMQ what they were."""
    queues = [world.rabbit.queue(f"{unique}-{n}") for n in ("in", "kafka", "redis")]
    world.kafka.topic(unique)
    table = {"text": "ä", "empty": "", "int": 42, "negative": -7, "big": 1 << 40, "yes": True, "no": False, "none": None,
             "price": decimal.Decimal("123.45"), "when": datetime.datetime(2024, 2, 29, 12, 30),
             "bytes": b"\0\xff", "table": {"a": 1, "b": {"c": "d"}}, "array": [1, "two", None, {"three": 3}]}
    properties = pika.BasicProperties(
        content_type="text/plain", content_encoding="utf-8", headers=table, delivery_mode=1, priority=3,
        correlation_id="c-1", reply_to="somewhere", expiration="3600000", message_id="m-1", timestamp=1700000000,
        type="t", user_id="guest", app_id="a")
    f = ferry({"connections": world.connections, "routes": {
        "over": {"from": {"rabbitmq": "rabbit", "queue": queues[0]},
                 "to": [{"kafka": "events", "topic": unique}, {"redis": "cache", "stream": unique}]},
        "kafka": {"from": {"kafka": "events", "topic": unique, "group": unique},
                  "to": {"rabbitmq": "rabbit", "queue": queues[1]}},
        "redis": {"from": {"redis": "cache", "stream": unique, "group": "g"},
                  "to": {"rabbitmq": "rabbit", "queue": queues[2]}}}}).start().wait_up()
    with world.rabbit.channel(confirms=True) as c:
        c.basic_publish("", queues[0], b"body", properties)
    f.wait_delivered(dict.fromkeys(("over", "kafka", "redis"), 1))
    f.stop()
    between = dict(world.kafka.read(unique)[unique][0].headers)
    assert between["amqp.content-type"] == b"text/plain" and between["amqp.message-id"] == b"m-1"
    assert between["int"] == b"42" and between["yes"] == b"true" and between["price"] == b"12345e-2"
    for queue in queues[1:]:
        with world.rabbit.channel() as c:
            _, back, body = c.basic_get(queue, auto_ack=True)
        assert body == b"body"
        assert list(back.headers) == list(table), f"{queue}: order of the headers"
        assert back.headers == table, queue
        for name in ("content_type", "content_encoding", "delivery_mode", "priority", "correlation_id", "reply_to",
                     "expiration", "message_id", "timestamp", "type", "user_id", "app_id"):
            assert getattr(back, name) == getattr(properties, name), f"{queue}: {name}"


def test_several_instances_share_a_source(world, ferry, unique):
    """Members of one group: everything once; in the order of keys where the source gives whole keys to one member."""
    ends = [(RedisStreamSource(world, unique + "-a"), KafkaSink(world, unique + "-b"), "none"),
            (RabbitQueueSource(world, unique + "-c"), RedisStreamSink(world, unique + "-d"), "none"),
            (RedisListSource(world, unique + "-e"), RedisListSink(world, unique + "-f"), "none"),
            (KafkaSource(world, unique + "-g"), RedisStreamSink(world, unique + "-h"), "key")]
    for source, sink, _ in ends:
        source.prepare()
        sink.prepare()
    f = ferry({"connections": world.connections, "routes": {
        f"r{n}": {"from": source.config(), "to": sink.config(), "order": order, "instances": 3}
        for n, (source, sink, order) in enumerate(ends)}}).start().wait_up()
    sent = [Maker().many(2000, keys=60) for _ in ends]
    for (source, _, _), messages in zip(ends, sent):
        source.send(messages)
    f.wait_delivered({f"r{n}": 2000 for n in range(len(ends))})
    f.stop()
    for (source, sink, order), messages in zip(ends, sent):
        sink.check(messages, sink.read(), source).require(type(source).__name__, ordered=order == "key")
        assert source.backlog() == 0, type(source).__name__


REGIONS = ("eu", "us")


def regional(maker, count):
    """Messages with a region in a header and in a JSON payload."""
    for n in range(count):
        region = REGIONS[n % 2]
        body = {"region": region, "customer": {"id": f"c{n % 5}"}, "n": n, "text": "ä\0€"}
        yield maker.make(f"k{n % 7}", payload=json.dumps(body).encode(), extra=(("region", region.encode()),))


@pytest.mark.parametrize("kind", ["direct", "topic", "fanout", "headers"])
def test_exchange_kinds(world, ferry, unique, kind):
    source = RedisStreamSource(world, unique)
    world.rabbit.exchange(unique, kind)
    bindings = {
        "direct": lambda r: (unique, r),
        "topic": lambda r: (unique, f"new.*.{r}.#"),
        "fanout": lambda r: (unique, ""),
        "headers": lambda r: (unique, "", {"x-match": "all", "region": r}),
    }
    routing_key = {"direct": '{{ header("region") }}', "topic": "new.{{ key }}.{{ json.region }}.x",
                   "fanout": "", "headers": ""}[kind]
    queues = {r: world.rabbit.queue(f"{unique}-{r}", bind=[bindings[kind](r)]) for r in REGIONS}
    sent = list(regional(Maker(), 200))
    to = {"rabbitmq": "rabbit", "exchange": unique}
    if routing_key:
        to["routing_key"] = routing_key
    f = ferry({"connections": world.connections,
               "routes": {"r": {"from": source.config(), "to": to}}}).start().wait_up()
    source.send(sent)
    f.wait_delivered({"r": len(sent)})
    f.stop()
    for region, queue in queues.items():
        sink = RabbitQueueSink(world, queue)
        wanted = [m for m in sent if kind == "fanout" or ("region", region.encode()) in m.headers]
        sink.check(wanted, sink.read(), source).require(f"{kind} exchange, queue of {region}")


def test_destinations_by_template(world, ferry, unique):
    """Streams, topics, keys, partitions and headers from json.PATH, headers and meta."""
    source = RabbitQueueSource(world, unique)
    source.prepare()
    world.kafka.topic(*(f"{unique}-{r}" for r in REGIONS))
    sent = list(regional(Maker(), 300))
    f = ferry({"connections": world.connections, "routes": {"r": {
        "from": key_from_header(source.config()),
        "to": [{"redis": "cache", "stream": f"{unique}-{{{{ json.region }}}}"},
               {"kafka": "events", "topic": f"{unique}-{{{{ json.region }}}}", "key": "{{ json.customer.id }}"},
               {"redis": "cache", "list": f'{unique}-list-{{{{ header("region") }}}}'}]}}}).start().wait_up()
    source.send(sent)
    f.wait_delivered({"r": len(sent)})
    f.stop()
    for region in REGIONS:
        wanted = [m for m in sent if ("region", region.encode()) in m.headers]
        name = f"{unique}-{region}"
        stream = RedisStreamSink(world, name)
        stream.check(wanted, stream.read(), source).require(name)
        held = RedisListSink(world, f"{unique}-list-{region}")
        assert [s.payload for s in held.read()] == [m.payload for m in wanted], "a list carries the payload alone"
        seen = world.kafka.read(name)[name]
        assert len(seen) == len(wanted)
        for s in seen:
            assert s.key.decode() == json.loads(s.payload)["customer"]["id"]


def test_kafka_partition_and_headers_by_template(world, ferry, unique):
    source = RedisStreamSource(world, unique)
    world.kafka.topic(unique)
    sent = list(regional(Maker(), 80))
    f = ferry({"connections": world.connections, "routes": {"r": {
        "from": source.config(),
        "to": {"kafka": "events", "topic": unique, "partition": "2",
               "headers": {"from": '{{ meta("stream") }}', "who": "{{ json.customer.id }}"}}}}}).start().wait_up()
    source.send(sent)
    f.wait_delivered({"r": len(sent)})
    f.stop()
    seen = world.kafka.read(unique)[unique]
    assert len(seen) == len(sent)
    for s in seen:
        assert f"{unique}-2 " in s.where
        headers = dict(s.headers)
        assert headers["from"] == unique.encode()
        assert headers["who"].decode() == json.loads(s.payload)["customer"]["id"]


def test_stream_is_trimmed(world, ferry, unique):
    source = KafkaSource(world, unique)
    source.prepare()
    f = ferry({"connections": world.connections, "routes": {"r": {
        "from": source.config(), "to": {"redis": "cache", "stream": unique, "maxlen": 100}}}}).start().wait_up()
    source.send(Maker().many(3000))
    f.wait_delivered({"r": 3000})
    f.stop()
    # Approximate: Redis trims whole nodes of 100 entries.
    assert 100 <= world.redis.xlen(unique) <= 300
