"""ferryd killed, or told to stop, in the middle of 20,000 messages, and started again."""
import time

import pytest
from support.ends import AT_LEAST_ONCE, SOURCES, make_sink
from support.ferry import quiet
from support.message import Maker
from support.waiting import until

COUNT = 20000
LIMITS = {"in_flight": 2000, "unsettled": 2000}
SINK_FOR = {"stream": "kafka", "list": "stream", "classic": "stream", "quorum": "list", "kafka": "queue"}


@pytest.fixture(params=AT_LEAST_ONCE)
def ended_midway(request, durable_world, ferry, unique):
    """Loads a source, starts a daemon, and ends it when a part has been carried; returns both and how much had arrived. A daemon
    that had carried everything before it heard of its end proves nothing, so then it is done once more."""
    world = durable_world

    class Middle:
        pass

    def load(name):
        m = Middle()
        m.source = SOURCES[request.param](world, name)
        m.sink = make_sink(SINK_FOR[request.param], world, name + "-out", m.source)
        m.source.prepare()
        m.sink.prepare()
        m.sent = Maker().many(COUNT, keys=1000, size=200)
        m.source.send(m.sent)
        m.ferry = ferry({"connections": world.connections, "limits": LIMITS,
                         "routes": {"r": {"from": m.source.config(), "to": m.sink.config()}}})
        return m

    def run(end):
        for attempt in range(5):
            m = load(f"{unique}-{attempt}")
            m.ferry.start(wait=False)
            until(lambda: m.ferry.alive() and m.sink.count() >= COUNT // 5,
                  lambda: "a fifth has arrived\n" + m.ferry.log(), timeout=60, every=0)
            end(m.ferry)
            m.stopped_at = settled_count(m.sink)
            if m.stopped_at < COUNT:
                return m
        raise AssertionError("five times everything had arrived before the end: this proved nothing")
    return run


def finish(m, duplicates):
    m.ferry.wait(lambda r: m.sink.count() >= COUNT and quiet(r["r"]) and m.source.backlog() == 0,
                 "the rest has arrived", timeout=60)
    m.ferry.stop()
    verdict = m.sink.check(m.sent, m.sink.read(), m.source)
    # What a quorum queue takes back from a consumer it delivers behind others (RabbitMQ 3.10): then there is no order to keep.
    verdict.require(type(m.source).__name__, duplicates=duplicates, ordered=not getattr(m.source, "quorum", False))
    assert m.source.backlog() == 0
    return verdict


def test_killed(ended_midway, capsys):
    """Lost nothing; twice only what was in flight or unsettled; flowing again within 5 s."""
    m = ended_midway(lambda f: f.kill9())
    m.ferry.start(wait=False)
    until(lambda: m.sink.count() > m.stopped_at, lambda: "flowing again\n" + m.ferry.log(), timeout=30, every=0)
    again = time.monotonic() - m.ferry.started_at
    verdict = finish(m, duplicates=sum(LIMITS.values()))
    with capsys.disabled():
        print(f"\n    {type(m.source).__name__}: killed at {m.stopped_at}, flows again after {again:.2f} s, "
              f"{verdict.duplicates} duplicates", end=" ")
    assert again < 5, f"flowing again took {again:.2f} s"


def test_stopped(ended_midway):
    """SIGTERM: drained, so nothing is lost and nothing comes twice."""
    m = ended_midway(lambda f: f.stop())
    m.ferry.start()
    finish(m, duplicates=0)


def settled_count(sink):
    """What the dead daemon had written arrives a moment after its end."""
    last = -1
    while (now := sink.count()) != last:
        last = now
        time.sleep(0.1)
    return now
