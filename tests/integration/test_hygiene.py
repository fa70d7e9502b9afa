"""Secrets stay secret, idle costs nothing, and the examples load."""
import os
import pathlib
import re
import subprocess
import time

import pytest
from support.brokers import ROOT
from support.ends import KafkaSource, RabbitQueueSource, RedisStreamSource
from support.ferry import BIN
from support.message import Maker


def test_secrets(world, brokers, ferry, tmp_path, unique):
    """Passwords by file, by environment, within a URL and in librdkafka's properties; one of them wrong: on no output."""
    canary = {k: f"canary-{k}-{os.urandom(8).hex()}" for k in ("redis", "rabbit", "kafka", "wrong")}
    user = unique[-20:]
    world.redis.acl_setuser(user, enabled=True, passwords=["+" + canary["redis"]], keys=["*"], channels=["*"],
                            commands=["+@all"])
    brokers.rabbitmqctl("add_user", user, canary["rabbit"])
    brokers.rabbitmqctl("set_permissions", user, ".*", ".*", ".*")
    (tmp_path / "rabbit.pw").write_text(canary["rabbit"] + "\n")
    world.rabbit.queue(unique)
    world.kafka.topic(unique)
    at = f"127.0.0.1:{brokers.redis_port}"
    f = ferry({
        "connections": {
            "cache": f"redis://{user}:${{CANARY_REDIS}}@{at}",
            "locked": {"url": f"redis://{at}", "user": user, "password": "${CANARY_WRONG}"},
            "rabbit": {"url": f"amqp://{user}@127.0.0.1:{brokers.rabbit_port}",
                       "password": "${file:%s}" % (tmp_path / "rabbit.pw")},
            "events": {"url": brokers.kafka_url,
                       "properties": {"sasl.username": "u", "sasl.password": "${CANARY_KAFKA}"}}},
        "routes": {
            "a": {"from": {"redis": "cache", "stream": unique, "group": "g"}, "to": {"rabbitmq": "rabbit", "queue": unique}},
            "b": {"from": {"rabbitmq": "rabbit", "queue": unique}, "to": {"kafka": "events", "topic": unique}},
            "c": {"from": {"kafka": "events", "topic": unique, "group": unique}, "to": {"redis": "cache", "list": unique + "-out"}},
            "d": {"from": {"redis": "locked", "list": unique + "-l"}, "to": {"test": "discard"}}}},
        environment={f"CANARY_{k.upper()}": v for k, v in canary.items()}, options=["-l", "debug"],
        secrets=canary.values())
    try:
        shown = [f.run("ferryd", *option, "-c", str(f.file)) for option in (["-t"], ["-T"])]
        assert "\n" in shown[1].stdout
        f.start().wait_up("a", "b", "c")
        world.redis.send_stream(unique, Maker().many(10))
        f.wait_delivered(dict.fromkeys("abc", 10))
        f.wait(lambda r: r["d"]["from"]["reason"], "the wrong password is told")
        shown += [f.ctl(*words, check=False) for words in (["status"], ["--json", "status"], ["connections"],
                                                           ["--json", "connections"], ["routes"])]
        process = pathlib.Path(f"/proc/{f.process.pid}")
        texts = [s.stdout + s.stderr for s in shown] + [(process / "cmdline").read_text(), (process / "comm").read_text()]
        broken = f.directory / "broken.yaml"
        broken.write_text(f.file.read_text().replace('"queue"', '"queeue"').replace('"url"', '"urrl"'))
        texts.append(f.run("ferryd", "-t", "-c", str(broken), check=False).stderr)
        f.stop()
        texts.append(f.whole_log())
        for text in texts:
            for name, secret in canary.items():
                assert secret not in text, f"the canary {name} is in: {text[:2000]}"
    finally:
        world.redis.acl_deluser(user)
        brokers.rabbitmqctl("delete_user", user)


def cpu_seconds(pid):
    """Of all threads; schedstat counts nanoseconds where stat counts hundredths of a second."""
    return sum(int((t / "schedstat").read_text().split()[0])
               for t in pathlib.Path(f"/proc/{pid}/task").iterdir()) / 1e9


def test_idle_costs_nothing(world, ferry, unique, capsys):
    """Three idle routes: less than 0.5% of a core."""
    sources = [kind(world, f"{unique}-{n}") for n, kind in enumerate((RedisStreamSource, RabbitQueueSource, KafkaSource))]
    sinks = [RabbitQueueSource(world, unique + "-q").config(), {"kafka": "events", "topic": unique + "-t"},
             {"redis": "cache", "stream": unique + "-s"}]
    for s in sources:
        s.prepare()
    world.rabbit.queue(unique + "-q")
    world.kafka.topic(unique + "-t")
    f = ferry({"connections": world.connections, "routes": {
        f"r{n}": {"from": source.config(), "to": to} for n, (source, to) in enumerate(zip(sources, sinks))}})
    f.start().wait_up()
    for source in sources:
        source.send(Maker().many(10))
    f.wait_delivered({f"r{n}": 10 for n in range(3)})
    time.sleep(1)  # until the first seconds' connecting is over: what is measured is idling
    before, began = cpu_seconds(f.process.pid), time.monotonic()
    time.sleep(5)
    share = (cpu_seconds(f.process.pid) - before) / (time.monotonic() - began)
    with capsys.disabled():
        print(f"\n    three idle routes take {share:.3%} of a core", end=" ")
    f.stop()
    assert share < 0.005


EXAMPLES = sorted((ROOT / "conf").glob("*.yaml"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.name)
def test_example_loads(ferry, tmp_path, example):
    """As it is, with the variables set that it names and the files there that it reads."""
    text = example.read_text()
    names = {n: "x" for n in re.findall(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}", text)}
    for path in re.findall(r"\$\{file:([^}]+)\}", text):
        here = tmp_path / path.strip("/").replace("/", "-")
        here.write_text("secret\n")
        text = text.replace("${file:%s}" % path, "${file:%s}" % here)
    copy = tmp_path / example.name
    copy.write_text(text)
    f = ferry({"routes": {}}, environment=names)
    done = f.run("ferryd", "-t", "-c", str(copy), check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_examples_are_there():
    assert ROOT / "conf" / "hello.yaml" in EXAMPLES


def test_hello_runs_without_a_broker(tmp_path):
    """The first thing that anybody tries, as its comment says."""
    daemon = subprocess.Popen([BIN / "ferryd", "-c", ROOT / "conf" / "hello.yaml"], cwd=tmp_path,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        lines = [daemon.stdout.readline() for _ in range(3)]
        status = subprocess.run([BIN / "ferryctl", "-s", "hello.sock", "status"], cwd=tmp_path, stdout=subprocess.PIPE,
                                text=True)
        daemon.terminate()
        rest, log = daemon.communicate(timeout=10)
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.communicate()
    assert all(line.endswith(b"\n") and len(line) == 41 for line in lines), lines
    assert status.returncode == 0 and "hello" in status.stdout, status.stdout
    assert daemon.returncode == 0, log.decode()
