"""Routes that are wrong, and messages that nobody takes: said in the status, nothing lost, other routes go on."""
import pytest
from support.ends import (KafkaSink, KafkaSource, RabbitExchangeSink, RabbitQueueSink, RabbitQueueSource,
                          RedisListSink, RedisStreamSink, RedisStreamSource)
from support.message import Maker


@pytest.fixture
def beside(world, unique):
    """A route with nothing wrong, and the proof that it goes on."""
    class Beside:
        source = RedisStreamSource(world, unique + "-beside")
        sink = RedisListSink(world, unique + "-beside-out")
        route = {"beside": {"from": source.config(), "to": sink.config()}}
        maker = Maker()
        sent = []

        def goes_on(self, ferry):
            more = self.maker.many(50)
            self.source.send(more)
            self.sent += more
            ferry.wait_delivered({"beside": len(self.sent)})
            assert ferry.route("beside")["state"] == "running"
    return Beside()


def wait_fault(ferry, name, *words):
    def fault(routes):
        r = routes[name]
        return r["state"] == "fault" and all(w in r["reason"] for w in words)
    ferry.wait(fault, f"route {name} is at fault, with {words} in the reason", timeout=20)
    assert ferry.ctl("status", check=False).returncode == 3, "unhealthy has exit status 3"
    text = ferry.ctl("status", check=False).stdout
    assert all(w in text for w in words), text


SINKS_MISSING = {
    "exchange": (lambda w, n: {"rabbitmq": "rabbit", "exchange": n, "routing_key": "x"}, RabbitExchangeSink),
    "queue": (lambda w, n: {"rabbitmq": "rabbit", "queue": n}, RabbitQueueSink),
}


@pytest.mark.parametrize("what", SINKS_MISSING)
def test_missing_destination(world, ferry, unique, beside, what):
    """Named by a constant: a fault of the route, which flows by itself as soon as it is there."""
    config, kind = SINKS_MISSING[what]
    source = RedisStreamSource(world, unique)
    sent = Maker().many(300)
    source.send(sent)
    name = f"{unique}-missing"
    f = ferry({"connections": world.connections, "routes": {
        "wrong": {"from": source.config(), "to": config(world, name)}, **beside.route}}).start()
    wait_fault(f, "wrong", name)
    beside.goes_on(f)
    r = f.route("wrong")
    assert r["counters"]["delivered"] == r["counters"]["dead"] == 0
    if what == "exchange":
        world.rabbit.exchange(name, "fanout")
        queue = world.rabbit.queue(f"{name}-queue")
        # Bound while ferryd probes: what it sends in between is returned, and that is a message's trouble. So bound first.
        with world.rabbit.channel() as c:
            c.queue_bind(queue, name, "")
        sink = RabbitQueueSink(world, queue)
    else:
        sink = kind(world, name)
        sink.prepare()
    f.ctl("resume", "wrong", check=False)
    f.wait_delivered({"wrong": len(sent)}, timeout=30)
    f.stop()
    sink.check(sent, sink.read(), source).require(what)
    assert source.backlog() == 0


def test_missing_queue_flows_by_itself(world, ferry, unique):
    """Nobody resumes: the probe finds it, at most 10 s later."""
    source = RedisStreamSource(world, unique)
    sink = RabbitQueueSink(world, f"{unique}-missing")
    sent = Maker().many(100)
    source.send(sent)
    f = ferry({"connections": world.connections,
               "routes": {"wrong": {"from": source.config(), "to": sink.config()}}}).start()
    wait_fault(f, "wrong", sink.name)
    sink.prepare()
    f.wait_delivered({"wrong": len(sent)}, timeout=30)
    f.stop()
    sink.check(sent, sink.read(), source).require()


def test_missing_queue_as_source(world, ferry, unique, beside):
    source = RabbitQueueSource(world, f"{unique}-missing")
    sink = RedisStreamSink(world, unique)
    f = ferry({"connections": world.connections, "routes": {
        "wrong": {"from": source.config(), "to": sink.config()}, **beside.route}}).start()
    wait_fault(f, "wrong", source.name)
    beside.goes_on(f)
    source.prepare()
    sent = Maker().many(100)
    source.send(sent)
    f.wait_delivered({"wrong": len(sent)}, timeout=30)
    f.stop()
    sink.check(sent, sink.read(), source).require()
    assert source.backlog() == 0


def test_source_of_the_wrong_type(world, ferry, unique, beside):
    world.redis.set(unique, "a string")
    source = RedisStreamSource(world, unique)
    sink = RedisListSink(world, unique + "-out")
    f = ferry({"connections": world.connections, "routes": {
        "wrong": {"from": source.config(), "to": sink.config()}, **beside.route}}).start()
    wait_fault(f, "wrong", "WRONGTYPE")
    beside.goes_on(f)
    world.redis.delete(unique)
    sent = Maker().many(100)
    source.send(sent)
    f.wait_delivered({"wrong": len(sent)}, timeout=30)
    f.stop()
    sink.check(sent, sink.read(), source).require()


@pytest.mark.parametrize("kind", [RedisStreamSink, RedisListSink], ids=["stream", "list"])
def test_destination_of_the_wrong_type(world, ferry, unique, beside, kind):
    source = KafkaSource(world, unique)
    source.prepare()
    sink = kind(world, unique + "-out")
    world.redis.set(sink.name, "a string")
    sent = Maker().many(100)
    source.send(sent)
    f = ferry({"connections": world.connections, "routes": {
        "wrong": {"from": source.config(), "to": sink.config()}, **beside.route}}).start()
    wait_fault(f, "wrong", "WRONGTYPE")
    beside.goes_on(f)
    world.redis.delete(sink.name)
    f.wait_delivered({"wrong": len(sent)}, timeout=30)
    f.stop()
    sink.check(sent, sink.read(), source).require()
    assert source.backlog() == 0


def wait_refused(ferry, name):
    ferry.wait(lambda r: r[name]["state"] == "refused" and r[name]["reason"], f"route {name} is refused", timeout=20)


def test_message_too_large_for_kafka(world, ferry, unique, beside):
    """The route waits for `ferryctl resume`, with the message kept; once the limit is raised it goes, before its key's others."""
    source = RedisStreamSource(world, unique)
    sink = KafkaSink(world, unique + "-out")
    world.kafka.topic(sink.name, config={"max.message.bytes": "100000"})
    maker = Maker()
    sent = maker.many(50, keys=5) + [maker.make("k1", 300000)] + [maker.make(f"k{n % 5}") for n in range(50)]
    source.send(sent)
    f = ferry({"connections": world.connections, "routes": {
        "wrong": {"from": source.config(), "to": sink.config()}, **beside.route}}).start()
    wait_refused(f, "wrong")
    beside.goes_on(f)
    f.ctl("resume", "wrong")
    wait_refused(f, "wrong")
    assert f.route("wrong")["counters"]["delivered"] < len(sent)
    world.kafka.set_topic(sink.name, max_message_bytes="1000000")
    f.ctl("resume", "wrong")
    f.wait_delivered({"wrong": len(sent)}, timeout=30)
    assert f.route("wrong")["state"] == "running"
    f.stop()
    sink.check(sent, sink.read(), source).require()
    assert source.backlog() == 0


def test_missing_exchange_by_template(world, ferry, unique, beside):
    """Named by a template it is that message's trouble: refused, kept, sent again on resume."""
    source = RedisStreamSource(world, unique)
    world.rabbit.exchange(f"{unique}-k0", "fanout")
    queue = RabbitQueueSink(world, f"{unique}-queue")
    world.rabbit.queue(queue.name, bind=[(f"{unique}-k0", "")])
    sent = Maker().many(60, keys=2)
    source.send(sent)
    f = ferry({"connections": world.connections, "routes": {
        "wrong": {"from": source.config(), "to": {"rabbitmq": "rabbit", "exchange": f"{unique}-{{{{ key }}}}",
                                                  "routing_key": "x"}}, **beside.route}}).start()
    wait_refused(f, "wrong")
    beside.goes_on(f)
    world.rabbit.exchange(f"{unique}-k1", "fanout")
    with world.rabbit.channel() as c:
        c.queue_bind(queue.name, f"{unique}-k1", "")
    f.ctl("resume", "wrong")
    f.wait_delivered({"wrong": len(sent)}, timeout=30)
    # A channel that is closed by a 404 takes other messages' confirms with it: those were sent again.
    unknown = f.route("wrong")["to"][0]["counters"]["unknown"]
    f.stop()
    queue.check(sent, queue.read(), source).require(duplicates=unknown)
    assert source.backlog() == 0


def test_broken_routing_is_refused(world, ferry, unique):
    """An exchange without a queue returns what it gets: nothing is dropped."""
    source = RedisStreamSource(world, unique)
    world.rabbit.exchange(unique, "direct")
    sent = Maker().many(20, keys=1)
    source.send(sent)
    f = ferry({"connections": world.connections, "routes": {
        "wrong": {"from": source.config(), "to": {"rabbitmq": "rabbit", "exchange": unique, "routing_key": "x"}}}}).start()
    wait_refused(f, "wrong")
    sink = RabbitQueueSink(world, f"{unique}-queue")
    world.rabbit.queue(sink.name, bind=[(unique, "x")])
    f.ctl("resume", "wrong")
    f.wait_delivered({"wrong": len(sent)}, timeout=30)
    f.stop()
    sink.check(sent, sink.read(), source).require()
