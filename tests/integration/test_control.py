"""The daemon without a broker: start, status, pause, reload, stop; the control socket under abuse; exit codes; what
the service manager is told."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import time

import pytest
from support.ferry import BIN
from support.waiting import until

FERRYD, FERRYCTL = str(BIN / "ferryd"), str(BIN / "ferryctl")


def generate(**more):
    return {"from": {"test": "generate", "rate": 1000, **more}, "to": {"test": "discard"}}


ONE = {"shutdown_timeout": "2s", "routes": {"gen": generate()}}


@pytest.fixture
def made(ferry):
    return ferry(ONE)


@pytest.fixture
def daemon(made):
    return made.start()


def ferryd(*words):
    return subprocess.run([FERRYD, *words], capture_output=True, text=True, timeout=30)


def ask(daemon, *words):
    """The answer as JSON, of whatever exit status."""
    return json.loads(daemon.ctl("--json", *words, check=False).stdout)


def taken(daemon):
    return ask(daemon, "route", "gen")["route"]["counters"]["in"]


def state(daemon):
    return ask(daemon, "route", "gen")["route"]["state"]


def connect(daemon):
    s = socket.socket(socket.AF_UNIX)
    s.connect(daemon.socket)  # without a timeout: one that is full is waited for
    s.settimeout(5)
    return s


# ---- command lines


def test_usage_errors_exit_2_with_a_line():
    for words in (["--nonsense"], ["-c"], ["file.yaml"], ["-l", "loud"], ["--reference=html"]):
        r = ferryd(*words)
        assert r.returncode == 2 and r.stderr.startswith(("ferryd: ", FERRYD + ": ")), (words, r)
        assert len(r.stderr.splitlines()) == 1 and not r.stdout
    for words in ([], ["statsu"], ["pause"], ["status", "more"], ["--nonsense"]):
        r = subprocess.run([FERRYCTL, *words], capture_output=True, text=True)
        assert r.returncode == 2 and len(r.stderr.splitlines()) == 1, (words, r)
    assert 'did you mean "status"?' in subprocess.run([FERRYCTL, "statsu"], capture_output=True, text=True).stderr


def test_check_and_print(made):
    file = str(made.file)
    r = ferryd("-t", "-c", file)
    assert r.returncode == 0 and r.stdout == f"{file}: ok: 1 route, 0 connections, 0 warnings\n"
    printed = ferryd("-T", "-c", file)
    assert printed.returncode == 0
    again = made.directory / "again.yaml"
    again.write_text(printed.stdout)
    assert ferryd("-T", "-c", str(again)).stdout == printed.stdout

    made.write({"routes": {"bad": {"from": {"test": "generat"}, "to": {"test": "discard"}, "ordr": "key"}}})
    r = ferryd("-t", "-c", file)
    assert r.returncode == 1
    assert f"{file}:" in r.stderr and '"generate"' in r.stderr and '"order"' in r.stderr
    assert len(r.stdout.splitlines()) == 1 and "2 errors" in r.stdout
    assert ferryd("-c", file).returncode == 1
    missing = ferryd("-t", "-c", "/nonexistent/ferry.yaml")
    assert missing.returncode == 1 and "/nonexistent/ferry.yaml" in missing.stderr
    for words in (["-V"], ["-h"], ["--reference"], ["--reference=markdown"]):
        assert ferryd(*words).returncode == 0


@pytest.mark.parametrize("url, words", [
    ("redis://h/0?password=hunter2", "has a query"),
    ("unix:///run/redis.sock?password=hunter2", "has a query"),
    ("amqp://h/vhost?heartbeat=3", "has a query"),
    ("redis://h/99999999999", "is no database number"),
])
def test_what_a_url_cannot_say_is_an_error(made, url, words):
    """Never accepted and ignored, and never shown: it may be a password."""
    made.write({"connections": {"broker": url}, **ONE})
    r = ferryd("-t", "-c", str(made.file))
    assert r.returncode == 1 and words in r.stderr and "hunter2" not in r.stderr, r


def test_ferryctl_without_a_daemon(made):
    r = made.ctl("status", check=False)
    assert r.returncode == 1
    assert r.stderr == f"ferryctl: ferryd is not running, or not with this socket: {made.socket}: no such file\n"


# ---- a life


def test_status_shows_a_running_route(daemon):
    until(lambda: daemon.route("gen")["counters"]["delivered"] > 100, "messages flow")
    text = daemon.ctl("status").stdout
    assert "1 of 1 route healthy" in text and "test generate -> test discard" in text
    status = daemon.status()
    assert status["complete"] and status["healthy"] and status["pid"] == daemon.process.pid
    for words in (["routes"], ["route", "gen"], ["connections"], ["version"]):
        assert daemon.ctl(*words).stdout, words
    r = daemon.ctl("route", "gne", check=False)
    assert r.returncode == 1 and 'there is no route "gne"; did you mean "gen"?' in r.stderr


def test_pause_and_resume(daemon):
    daemon.ctl("pause", "gen")
    until(lambda: state(daemon) == "paused", "paused")
    assert daemon.ctl("status", check=False).returncode == 3
    before = taken(daemon)
    time.sleep(0.3)
    assert taken(daemon) == before
    daemon.ctl("resume", "gen")
    until(lambda: taken(daemon) > before, "messages flow again")
    until(lambda: daemon.ctl("status", check=False).returncode == 0, "healthy again")


def test_an_ended_route_is_healthy(made):
    made.write({"routes": {"gen": generate(rate=100000, count=500)}})
    made.start()
    until(lambda: state(made) == "ended", "ended")
    assert made.route("gen")["counters"]["delivered"] == 500
    made.ctl("status")


def test_sigterm_drains_and_exits_0(daemon):
    assert daemon.stop() < 3
    assert "SIGTERM: draining" in daemon.whole_log() and "stopped" in daemon.whole_log()
    assert not os.path.exists(daemon.socket)


def stuck(made):
    """A disk that is full: everything stays in flight."""
    made.write({"shutdown_timeout": "2s", "routes": {
        "gen": {"from": {"test": "generate", "count": 50}, "to": {"file": "lines", "path": "/dev/full"}}}})
    made.start()
    until(lambda: made.route("gen")["in_flight"] == 50, "all in flight")


def test_what_cannot_be_delivered_is_returned(made):
    stuck(made)
    assert made.ctl("status", check=False).returncode == 3
    assert 1.5 < made.stop() < 3
    assert "50 messages returned" in made.whole_log()


def test_a_second_signal_exits_at_once(made):
    stuck(made)
    made.signal(signal.SIGTERM)
    made.signal(signal.SIGTERM)  # the same wish, as timeout(1) tells it
    time.sleep(0.4)
    assert made.process.poll() is None
    began = time.monotonic()
    made.signal(signal.SIGINT)
    assert made.process.wait(2) == 1 and time.monotonic() - began < 1
    assert "a second signal" in made.whole_log()
    assert not os.path.exists(made.socket)


# ---- reload


def test_reload_changes_only_what_changed(daemon):
    until(lambda: taken(daemon) > 10, "messages flow")
    daemon.write({**ONE, "lanes": 3, "routes": {"gen": generate(), "more": generate()}})
    text = daemon.ctl("reload").stdout
    assert "routes: 1 kept, 0 changed, 1 added, 0 removed" in text and "the new lanes will hold after a restart" in text
    assert taken(daemon) > 10
    until(lambda: len(daemon.routes()) == 2, "the new route is there")

    daemon.write({**ONE, "routes": {"gen": generate(size=10)}})
    daemon.signal(signal.SIGHUP)
    until(lambda: "routes: 0 kept, 1 changed, 0 added, 1 removed" in daemon.whole_log(), "the signal's reload")
    until(lambda: len(ask(daemon, "routes")["routes"]) == 1 and state(daemon) == "running", "the old route is gone")


@pytest.mark.parametrize("broken", ["routes: [", "", "routes:\n  gen: { from: { test: generate }, to: { test: dscard } }\n"])
def test_a_broken_file_changes_nothing(daemon, broken):
    before = taken(daemon)
    daemon.file.write_text(broken)
    r = daemon.ctl("reload", check=False)
    assert r.returncode == 1
    assert f"{daemon.file}:" in r.stderr and "error: " in r.stderr and "nothing was changed" in r.stderr
    daemon.signal(signal.SIGHUP)
    until(lambda: daemon.whole_log().count("nothing was changed") == 2, "the signal's reload")
    until(lambda: taken(daemon) > before, "messages flow")
    daemon.ctl("status")


# ---- the socket


def test_a_socket_left_behind_is_replaced(daemon):
    daemon.kill9()
    assert os.path.exists(daemon.socket)
    daemon.start()
    daemon.ctl("status")
    assert os.stat(daemon.socket).st_mode & 0o777 == 0o660


def test_a_second_daemon_is_refused(daemon):
    r = ferryd("-c", str(daemon.file))
    assert r.returncode == 1 and "another ferryd answers here" in r.stderr
    daemon.ctl("status")


def rate(daemon, seconds=1.0):
    first, began = taken(daemon), time.monotonic()
    time.sleep(seconds)
    return (taken(daemon) - first) / (time.monotonic() - began)


def test_abuse_hurts_nobody(made):
    made.write({"routes": {"gen": generate(rate=20000)}})
    made.start()
    until(lambda: taken(made) > 1000, "messages flow")
    idle = [connect(made) for _ in range(500)]
    dice = random.Random(24)
    for n in range(100):
        with connect(made) as s, contextlib.suppress(OSError):
            s.sendall(dice.randbytes(dice.randrange(1, 3000)) + (b"\n" if n % 2 else b""))
    with connect(made) as s, contextlib.suppress(OSError):
        s.sendall(b'{"command": "' + b"x" * 100000)
    flood = [connect(made) for _ in range(8)]
    for s in flood:
        s.sendall(b'{"command": "status"}\n' * 1000)
    assert rate(made) >= 18000
    made.ctl("status")
    for s in flood:
        s.close()
    assert len(os.listdir(f"/proc/{made.process.pid}/fd")) < 150
    for s in idle:
        s.close()


def test_oversize_and_silent_clients_are_closed(daemon):
    with connect(daemon) as s:
        s.sendall(b" " * 5000)
        assert b"at most 4096 bytes" in s.recv(65536)
    with connect(daemon) as s:
        began = time.monotonic()
        s.sendall(b'{"command": ')
        assert s.recv(1) == b""
        assert 1.5 < time.monotonic() - began < 4


ASK_AS_NOBODY = """
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
for line in sys.argv[2:]:
    s.sendall(line.encode() + b"\\n")
    print(s.makefile().readline(), end="")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_others_may_look_and_not_act(ferry):
    daemon = ferry(ONE)
    # pytest's directories are their owner's alone.
    daemon.socket = f"/tmp/ferry-others-{os.getpid()}.sock"
    daemon.write(ONE)
    daemon.start()
    os.chmod(daemon.socket, 0o666)
    done = subprocess.run(["/usr/bin/python3", "-c", ASK_AS_NOBODY, daemon.socket, '{"command": "version"}',
                           '{"command": "pause", "route": "gen"}'], user=65534, group=65534, extra_groups=[], cwd="/",
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    looked, refused = map(json.loads, done.stdout.splitlines())
    assert looked["ok"]
    assert not refused["ok"] and "for root" in refused["error"]
    assert state(daemon) == "running"


# ---- the process and the service manager


def test_the_process(daemon):
    def proc(name):
        with open(f"/proc/{daemon.process.pid}/{name}") as f:
            return f.read()
    assert "Umask:\t0027" in proc("status")
    limit = [line.split() for line in proc("limits").splitlines() if line.startswith("Max open files")][0]
    assert limit[3] == limit[4]


def test_a_readable_password_is_warned_of(ferry):
    daemon = ferry({**ONE, "connections": {"cache": "redis://u:hunter2@127.0.0.1:1/0"}}, secrets=["hunter2"])
    daemon.file.chmod(0o644)
    daemon.start()
    assert "everyone may read it" in daemon.whole_log()
    assert "hunter2" not in ferryd("-T", "-c", str(daemon.file)).stdout
    daemon.stop()
    daemon.log_file.unlink()
    daemon.file.chmod(0o640)
    daemon.start()
    assert "everyone may read it" not in daemon.whole_log()


class Manager:
    """What systemd hears."""

    def __init__(self):
        self.path = f"@ferry-test-{os.getpid()}-{id(self):x}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.path[1:])
        self.socket.setblocking(False)
        self.said = []

    def heard(self, what):
        """How often."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self.said.append(self.socket.recv(4096).decode())
        return sum(what in s for s in self.said)


def managed(daemon, **environment):
    manager = Manager()
    daemon.environment.update(environment, NOTIFY_SOCKET=manager.path)
    return manager


def test_the_service_manager_is_told(made):
    manager = managed(made, WATCHDOG_USEC="400000")
    made.start()
    until(lambda: manager.heard("READY=1"), "ready")
    until(lambda: manager.heard("STATUS=1 of 1 routes run"), "a status")
    until(lambda: manager.heard("WATCHDOG=1") >= 3, "keep-alives")
    made.ctl("reload")
    until(lambda: manager.heard("READY=1") == 2, "ready again")
    assert manager.heard("RELOADING=1\nMONOTONIC_USEC=") == 1
    made.stop()
    assert manager.heard("STOPPING=1") == 1


def test_a_broken_configuration_is_never_ready(made):
    manager = managed(made)
    made.file.write_text("routes:\n  gen: 5\n")
    made.start(wait=False)
    assert made.process.wait(10) == 1
    assert not manager.heard("READY=1")
