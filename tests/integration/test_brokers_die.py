"""Each broker killed (-9) and started again in the middle of 20,000 messages, as a route's source and as its sink."""
import re
import time

import pytest
from support.ends import SOURCES, make_sink
from support.ferry import quiet
from support.message import Maker
from support.waiting import until

COUNT = 20000
LIMITS = {"in_flight": 2000, "unsettled": 2000}

CASES = {
    "redis as source (stream)": ("redis", "stream", "kafka"),
    "redis as source (list)": ("redis", "list", "kafka"),
    "redis as sink": ("redis", "kafka", "stream"),
    "rabbitmq as source (classic)": ("rabbitmq", "classic", "stream"),
    "rabbitmq as source (quorum)": ("rabbitmq", "quorum", "stream"),
    "rabbitmq as sink": ("rabbitmq", "stream", "queue"),
    "kafka as source": ("kafka", "kafka", "stream"),
    "kafka as sink": ("kafka", "stream", "kafka"),
}


@pytest.mark.parametrize("case", CASES, ids=lambda c: re.sub(r"\W+", "_", c).strip("_"))
def test_broker_killed(durable_world, brokers, ferry, unique, case, capsys):
    """A route that had carried everything before its broker died proves nothing, so then it is done once more."""
    for attempt in range(5):
        if kill_midway(durable_world, brokers, ferry, f"{unique}-{attempt}", case, capsys):
            return
    raise AssertionError("five times everything had arrived before the kill: this proved nothing")


def kill_midway(durable_world, brokers, ferry, unique, case, capsys):
    victim, source_kind, sink_kind = CASES[case]
    world = durable_world
    own = world.private.brokers if victim == "redis" else brokers
    source = SOURCES[source_kind](world, unique)
    sink = make_sink(sink_kind, world, unique + "-out", source)
    source.prepare()
    sink.prepare()
    if victim == "rabbitmq":  # which writes what was declared to its disk seconds later
        own.rabbitmqctl("eval", "mnesia:sync_log().")
    sent = Maker().many(COUNT, keys=1000, size=200)
    source.send(sent)
    f = ferry({"connections": world.connections, "limits": LIMITS,
               "routes": {"r": {"from": source.config(), "to": sink.config()}}})
    kill = own.killer(victim)
    f.start(wait=False)
    until(lambda: f.alive() and sink.count() >= COUNT // 5, lambda: "a fifth has arrived\n" + f.log(), timeout=60, every=0)
    kill()
    try:
        before = f.wait(lambda r: r["r"]["state"] != "running" and r["r"], "the route notices", timeout=20)
        assert before["state"] == "waiting" and before["reason"], before
        if before["counters"]["delivered"] >= COUNT:
            return False
        at_kill = before["counters"]["delivered"]
        arrived = COUNT if victim in sink.config() else sink.count()
    finally:
        answered = own.start(victim)
    f.wait(lambda r: r["r"]["counters"]["delivered"] > at_kill, "flowing again", timeout=30)
    again = time.monotonic() - answered
    f.wait(lambda r: sink.count() >= COUNT and quiet(r["r"]) and source.backlog() == 0, "the rest has arrived", timeout=60)
    assert f.route("r")["counters"]["dead"] == 0
    f.stop()
    # A classic queue that is killed forgets acks that it had not written, up to all of them; a quorum queue puts what it takes
    # back behind others.
    allowed = arrived if source_kind == "classic" else sum(LIMITS.values())
    verdict = sink.check(sent, sink.read(), source)
    verdict.require(case, duplicates=allowed, ordered=source_kind != "quorum")
    assert source.backlog() == 0
    with capsys.disabled():
        print(f"\n    {case}: killed after {at_kill}, flows again {again:.2f} s after it answers, "
              f"{verdict.duplicates} duplicates", end=" ")
    assert again < 5, f"flowing again took {again:.2f} s"
    return True
