"""Several sinks, several routes, exchanges of every kind, destinations by template."""
import json

import pytest
from support.ends import (KafkaSink, KafkaSource, RabbitExchangeSink, RabbitQueueSink, RabbitQueueSource,
                          RedisListSink, RedisStreamSink, RedisStreamSource, key_from_header)
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
        "to": {"kafka": "events", "topic": unique, "partition": "{{ json.n | default: 0 }}" if False else "2",
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
