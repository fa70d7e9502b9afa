"""Order per key, and nothing lost, while a sink refuses some messages."""
import time

from support.ends import (KafkaSource, RabbitQueueSink, RabbitQueueSource, RedisListSink, RedisListSource,
                          RedisStreamSink, RedisStreamSource, KafkaSink)
from support.message import Maker
from support.waiting import until


def never_wrong(routes):
    """Trouble of a broker is no trouble of a route or a message."""
    for r in routes.values():
        assert r["state"] in ("running", "waiting"), f"{r['name']} is {r['state']}: {r['reason']}"
        assert r["counters"]["dead"] == 0


def test_queue_that_overflows(world, ferry, unique):
    """reject-publish: RabbitMQ nacks some and takes later ones. They are sent again, never behind one of their key."""
    sources = [RedisStreamSource(world, unique + "-a"), KafkaSource(world, unique + "-b")]
    sinks = [RabbitQueueSink(world, unique + "-c"), RabbitQueueSink(world, unique + "-d")]
    for source in sources:
        source.prepare()
    for sink in sinks:
        world.rabbit.queue(sink.name, arguments={"x-max-length": 25, "x-overflow": "reject-publish"})
    sent = [Maker().many(600, keys=40), Maker().many(600, keys=40)]
    for source, messages in zip(sources, sent):
        source.send(messages)
    f = ferry({"connections": world.connections, "routes": {
        f"r{n}": {"from": source.config(), "to": sink.config()}
        for n, (source, sink) in enumerate(zip(sources, sinks))}}).start()
    refused = False

    def drained():
        nonlocal refused
        routes = f.routes()
        never_wrong(routes)
        refused = refused or all(r["to"][0]["counters"]["again"] for r in routes.values())
        if refused or all(r["in_flight"] == 0 for r in routes.values()):
            for sink in sinks:
                sink.taken += world.rabbit.take(sink.name, limit=20)
        return all(len(s.taken) >= 600 for s in sinks)
    until(drained, lambda: "both queues are drained\n" + f.describe(), timeout=90, every=0.02)
    assert refused, "the queues never refused anything: this proved nothing"
    f.wait_quiet()
    f.stop()
    for source, sink, messages in zip(sources, sinks, sent):
        sink.check(messages, sink.read(), source).require(f"{type(source).__name__} to a queue that overflows")
        assert source.backlog() == 0


def test_redis_that_is_full(world, private_redis, ferry, unique):
    """OOM: held, and sent again when there is room; a list in the full Redis is read all the while."""
    from support.ends import World
    from support.redis import Redis
    private = private_redis()
    full = World(Redis(private.url), world.rabbit, world.kafka, {**world.connections, "cache": private.url})
    routes = {
        "kafka-stream": (KafkaSource(world, unique + "-a"), RedisStreamSink(full, unique + "-b")),
        "queue-list": (RabbitQueueSource(world, unique + "-c"), RedisListSink(full, unique + "-d")),
        "stream-stream": (RedisStreamSource(world, unique + "-e"), RedisStreamSink(full, unique + "-f")),
        "list-kafka": (RedisListSource(full, unique + "-g"), KafkaSink(world, unique + "-h", partitions=1)),
    }
    connections = {**world.connections, "full": private.url}

    def config(end):
        c = end.config()
        return {**c, "redis": "full"} if end.world is full and "redis" in c else c
    for source, sink in routes.values():
        source.prepare()
        sink.prepare()
    f = ferry({"connections": connections, "routes": {
        name: {"from": config(source), "to": config(sink)} for name, (source, sink) in routes.items()}})
    f.start().wait_up()
    makers = {name: Maker() for name in routes}
    sent = {name: [] for name in routes}

    def more(name, count):
        messages = makers[name].many(count, keys=20)
        sent[name] += messages
        routes[name][0].send(messages)
    for name in routes:
        more(name, 500)
    f.wait_delivered(dict.fromkeys(routes, 500))
    more("list-kafka", 500)
    full.redis.config_set("maxmemory", 1)
    into_full = [n for n in routes if n != "list-kafka"]
    for name in into_full:
        more(name, 1000)
    held = f.wait(lambda r: all(r[n]["to"][0]["counters"]["again"] for n in into_full) and r, "Redis refuses")
    never_wrong(held)
    f.wait_delivered({"list-kafka": 1000})
    assert all(f.route(n)["counters"]["delivered"] == 500 for n in into_full)
    full.redis.config_set("maxmemory", 0)
    began = time.monotonic()
    f.wait_delivered({n: len(sent[n]) for n in routes})
    print(f"all delivered {time.monotonic() - began:.2f} s after there was room")
    never_wrong(f.routes())
    f.stop()
    for name, (source, sink) in routes.items():
        sink.check(sent[name], sink.read(), source).require(name)
        assert source.backlog() == 0, name
