"""Every source to every sink, at once, in one daemon: nothing lost, nothing extra, every byte the same, in order."""
import pytest
from support.ends import SINKS, SOURCES, World, make_sink
from support.ferry import Ferry
from support.message import Maker
from support.rabbit import Rabbit

PAIRS = [(source, sink) for source in SOURCES for sink in SINKS]
MIB = 1 << 20


def messages_for(source, sink):
    """All that the source can hold: sizes, NUL bytes, any byte, repeated, empty and NULL headers, tombstones, no key."""
    maker = Maker()
    extra = [("empty", b""), ("text", "ä€😀".encode())]
    if source.repeats and source.headers:
        extra += [("again", b"1"), ("other", b"x"), ("again", b""), ("again", b"3")]
    if source.null_header:
        extra += [("null", None)]
    made = []
    for n in range(48):
        made.append(maker.make(f"k{n % 8}", 256, extra if n % 2 else ()))
    for n, size in enumerate((0, 1, 0, 1, 255, 4096, 70000)):
        made.append(maker.make(f"k{n % 3}", size, extra))
    made.append(maker.make("k1", payload=bytes(300)))
    made.append(maker.make("k2", payload=bytes(range(256)) * 2))
    made.append(maker.make("k2", MIB))
    if source.headers:
        made.append(maker.make(None, 300, extra))
        if source.null_payload and SINKS[sink].headers:
            made.append(maker.make("k3", payload=None))
            made.append(maker.make("k3", payload=None, extra=extra))
    made += [maker.make(f"k{n % 3}", 300) for n in range(6)]
    return made


class Pair:
    def __init__(self, world, source, sink, prefix):
        self.name = f"{source}-{sink}"
        self.source = SOURCES[source](world, f"{prefix}-{self.name}-in")
        self.sink = make_sink(sink, world, f"{prefix}-{self.name}-out", self.source)
        self.sent = messages_for(self.source, sink)
        self.route = {"from": self.source.config(), "to": self.sink.config()}


@pytest.fixture(scope="module")
def crossed(request, tmp_path_factory, brokers, redis, kafka, connections):
    """All pairs (those that were chosen with -k), carried. What went wrong with one is its own test's failure."""
    chosen = [i.callspec.params for i in request.session.items if i.module is request.module and hasattr(i, "callspec")]
    rabbit = Rabbit(brokers.rabbit_url)
    world = World(redis, rabbit, kafka, connections)
    prefix = "ferrytest-matrix-" + Maker().run
    pairs = {(c["source"], c["sink"]): Pair(world, c["source"], c["sink"], prefix) for c in chosen}
    topics = {1: [], 4: []}
    for p in pairs.values():
        for end in (p.source, p.sink):
            if "kafka" in end.config():
                topics[getattr(end, "partitions", 4)].append(end.name)
            else:
                end.prepare()
    for partitions, names in topics.items():
        if names:
            kafka.topic(*names, partitions=partitions)
    ferry = Ferry(tmp_path_factory.mktemp("matrix"),
                  {"connections": connections, "routes": {p.name: p.route for p in pairs.values()}})
    try:
        ferry.start().wait_up(timeout=40)
        for p in pairs.values():
            p.source.send(p.sent)
        late = None
        try:
            ferry.wait_delivered({p.name: len(p.sent) for p in pairs.values()}, timeout=60)
        except AssertionError as e:
            late = e
        routes = ferry.routes()
        try:
            ferry.stop()
        except AssertionError as e:
            late = late or e
        found = {pair: (p.sink.read(), p.source.backlog()) for pair, p in pairs.items()}
        yield pairs, routes, found, late
    finally:
        ferry.close()
        for p in pairs.values():
            p.sink.close()
        rabbit.close()


@pytest.mark.parametrize("source, sink", PAIRS, ids=[f"{a}_to_{b}" for a, b in PAIRS])
def test_pair(crossed, source, sink):
    pairs, routes, found, _ = crossed
    pair = pairs[source, sink]
    route = routes[pair.name]
    seen, backlog = found[source, sink]
    state = f"{route['state']} {route['reason']!r}, {route['counters']}"
    pair.sink.check(pair.sent, seen, pair.source).require(f"{pair.name} ({state})")
    assert route["counters"]["in"] == route["counters"]["delivered"] == len(pair.sent), state
    assert route["in_flight"] == route["unsettled"] == 0, state
    assert backlog == 0


def test_all_ended_well(crossed):
    _, _, _, late = crossed
    assert late is None, late
