"""The daemon without a broker: start, status, pause, reload, stop; the control socket under abuse; exit codes; the service
manager's notifications. FERRY_BIN names another directory than build/bin."""

import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import time

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BIN = os.environ.get("FERRY_BIN", os.path.join(ROOT, "build", "bin"))
FERRYD, FERRYCTL = os.path.join(BIN, "ferryd"), os.path.join(BIN, "ferryctl")

ROUTES = """
  gen:
    from: { test: generate, rate: 1000 }
    to: { test: discard }
"""


class Daemon:
    """One ferryd with a configuration and a socket in a directory of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.socket = os.path.join(directory, "run", "ctl.sock")
        self.config = os.path.join(directory, "ferry.yaml")
        self.log = os.path.join(directory, "log")
        self.process = None
        self.write(ROUTES)

    def write(self, routes, top="shutdown_timeout: 2s"):
        with open(self.config, "w") as f:
            f.write("name: test\n%s\nadmin: { socket: %s }\nroutes:%s" % (top, self.socket, routes))

    def start(self, env=None, wait=True):
        with open(self.log, "a") as log:
            self.process = subprocess.Popen([FERRYD, "-c", self.config], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=dict(os.environ, **(env or {})))
        if wait:
            wait_for(lambda: self.ctl("version").returncode == 0)

    def ctl(self, *words):
        return subprocess.run([FERRYCTL, "-s", self.socket, *words], capture_output=True, text=True, timeout=30)

    def json(self, *words):
        return json.loads(self.ctl("--json", *words).stdout)

    def route(self, name="gen"):
        return self.json("route", name)["route"]

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, timeout=10):
        return self.process.wait(timeout)

    def logged(self):
        with open(self.log) as f:
            return f.read()

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(5)
        s.connect(self.socket)
        return s

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def wait_for(true, timeout=10):
    until = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


@pytest.fixture
def made(tmp_path):
    with contextlib.closing(Daemon(str(tmp_path))) as d:
        yield d


@pytest.fixture
def daemon(made):
    made.start()
    return made


def ferryd(*words, **more):
    return subprocess.run([FERRYD, *words], capture_output=True, text=True, timeout=30, **more)


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
    r = ferryd("-t", "-c", made.config)
    assert r.returncode == 0 and r.stdout == "%s: ok: 1 route, 0 connections, 0 warnings\n" % made.config
    printed = ferryd("-T", "-c", made.config)
    assert printed.returncode == 0
    again = os.path.join(made.directory, "again.yaml")
    with open(again, "w") as f:
        f.write(printed.stdout)
    assert ferryd("-T", "-c", again).stdout == printed.stdout

    made.write(ROUTES + "  bad: { from: { test: generat }, to: { test: discard }, ordr: key }\n")
    r = ferryd("-t", "-c", made.config)
    assert r.returncode == 1
    assert "%s:" % made.config in r.stderr and "generate" in r.stderr and "order" in r.stderr
    assert len(r.stdout.splitlines()) == 1 and "error" in r.stdout
    assert ferryd("-c", made.config).returncode == 1
    missing = ferryd("-t", "-c", "/nonexistent/ferry.yaml")
    assert missing.returncode == 1 and "/nonexistent/ferry.yaml" in missing.stderr
    for words in (["-V"], ["-h"], ["--reference"], ["--reference=markdown"]):
        assert ferryd(*words).returncode == 0


def test_ferryctl_without_a_daemon(made):
    r = made.ctl("status")
    assert r.returncode == 1
    assert r.stderr == "ferryctl: ferryd is not running, or not with this socket: %s: no such file\n" % made.socket


# ---- a life


def test_status_shows_a_running_route(daemon):
    wait_for(lambda: daemon.route()["counters"]["delivered"] > 100)
    r = daemon.ctl("status")
    assert r.returncode == 0
    assert "1 of 1 route healthy" in r.stdout and "test generate -> test discard" in r.stdout
    status = daemon.json("status")
    route = status["routes"][0]
    c = route["counters"]
    assert status["complete"] and route["accounted"] and status["pid"] == daemon.process.pid
    assert c["in"] == c["delivered"] + c["dead"] + c["filtered"] + c["duplicate"] + c["returned"] + route["in_flight"]
    for words in (["routes"], ["route", "gen"], ["connections"], ["version"]):
        assert daemon.ctl(*words).returncode == 0, words
    r = daemon.ctl("route", "gne")
    assert r.returncode == 1 and 'there is no route "gne"; did you mean "gen"?' in r.stderr


def test_pause_and_resume(daemon):
    assert daemon.ctl("pause", "gen").returncode == 0
    wait_for(lambda: daemon.route()["state"] == "paused")
    assert daemon.ctl("status").returncode == 3
    before = daemon.route()["counters"]["in"]
    time.sleep(0.3)
    assert daemon.route()["counters"]["in"] == before
    assert daemon.ctl("resume", "gen").returncode == 0
    wait_for(lambda: daemon.route()["counters"]["in"] > before)
    assert daemon.ctl("status").returncode == 0


def test_an_ended_route_is_healthy(made):
    made.write("\n  gen: { from: { test: generate, rate: 100000, count: 500 }, to: { test: discard } }\n")
    made.start()
    wait_for(lambda: made.route()["state"] == "ended")
    assert made.route()["counters"]["delivered"] == 500
    assert made.ctl("status").returncode == 0


def test_sigterm_drains_and_exits_0(daemon):
    started = time.monotonic()
    daemon.signal(signal.SIGTERM)
    assert daemon.wait() == 0
    assert time.monotonic() - started < 3
    assert "SIGTERM: draining" in daemon.logged() and "stopped" in daemon.logged()
    assert not os.path.exists(daemon.socket)


def test_a_second_signal_exits_at_once(daemon):
    # A stopped process gets both before it can have drained.
    daemon.signal(signal.SIGSTOP)
    daemon.signal(signal.SIGTERM)
    daemon.signal(signal.SIGINT)
    daemon.signal(signal.SIGCONT)
    assert daemon.wait(2) == 1
    assert "a second signal" in daemon.logged()
    assert not os.path.exists(daemon.socket)


# ---- reload


def test_reload_changes_only_what_changed(daemon):
    wait_for(lambda: daemon.route()["counters"]["in"] > 10)
    daemon.write(ROUTES + "  more: { from: { test: generate, rate: 10 }, to: { test: discard } }\n", "lanes: 1")
    r = daemon.ctl("reload")
    assert r.returncode == 0 and "1 routes kept, 0 changed, 1 added, 0 removed" in r.stdout
    assert "restart" in r.stdout  # lanes
    kept = daemon.route()["counters"]["in"]
    assert kept > 10
    wait_for(lambda: len(daemon.json("routes")["routes"]) == 2)

    daemon.write(ROUTES.replace("1000", "2000"))
    daemon.signal(signal.SIGHUP)
    wait_for(lambda: "0 routes kept, 1 changed, 0 added, 1 removed" in daemon.logged())
    wait_for(lambda: len(daemon.json("routes")["routes"]) == 1)


@pytest.mark.parametrize("broken", ["routes: [", "", "routes:\n  gen: { from: { test: generate }, to: { test: discrd } }\n"])
def test_a_broken_file_changes_nothing(daemon, broken):
    before = daemon.route()["counters"]["in"]
    with open(daemon.config, "w") as f:
        f.write(broken)
    r = daemon.ctl("reload")
    assert r.returncode == 1
    assert "%s:" % daemon.config in r.stderr and "error: " in r.stderr and "nothing was changed" in r.stderr
    daemon.signal(signal.SIGHUP)
    wait_for(lambda: daemon.logged().count("nothing was changed") == 2)
    wait_for(lambda: daemon.route()["counters"]["in"] > before)
    assert daemon.ctl("status").returncode == 0


# ---- the socket


def test_a_socket_left_behind_is_replaced(daemon):
    daemon.signal(signal.SIGKILL)
    daemon.wait()
    assert os.path.exists(daemon.socket)
    daemon.start()
    assert daemon.ctl("status").returncode == 0
    assert os.stat(daemon.socket).st_mode & 0o777 == 0o660


def test_a_second_daemon_is_refused(daemon):
    r = ferryd("-c", daemon.config)
    assert r.returncode == 1 and "another ferryd answers here" in r.stderr
    assert daemon.ctl("status").returncode == 0


def rate(daemon, seconds=1.0):
    def delivered():
        return daemon.route()["counters"]["delivered"]
    first, began = delivered(), time.monotonic()
    time.sleep(seconds)
    return (delivered() - first) / (time.monotonic() - began)


def test_abuse_hurts_nobody(made):
    made.write("\n  gen: { from: { test: generate, rate: 20000 }, to: { test: discard } }\n")
    made.start()
    wait_for(lambda: made.route()["counters"]["delivered"] > 1000)
    idle = []
    for _ in range(500):
        with contextlib.suppress(OSError):
            idle.append(made.connect())
    dice = random.Random(24)
    for n in range(100):
        with made.connect() as s, contextlib.suppress(OSError):
            s.sendall(dice.randbytes(dice.randrange(1, 3000)) + (b"\n" if n % 2 else b""))
    with made.connect() as s, contextlib.suppress(OSError):
        s.sendall(b'{"command": "' + b"x" * 100000)
    assert rate(made) >= 18000
    assert made.ctl("status").returncode == 0
    for s in idle:
        s.close()
    assert len(os.listdir("/proc/%d/fd" % made.process.pid)) < 150


def test_oversize_and_silent_clients_are_closed(daemon):
    with daemon.connect() as s:
        s.sendall(b" " * 5000)
        assert b"at most 4096 bytes" in s.recv(65536)
    with daemon.connect() as s:
        began = time.monotonic()
        s.sendall(b'{"command": ')
        assert s.recv(1) == b""
        assert 1.5 < time.monotonic() - began < 4


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_others_may_look_and_not_act(daemon):
    nobody = 65534
    os.chmod(daemon.directory, 0o711)
    os.chown(os.path.dirname(daemon.socket), -1, nobody)
    os.chown(daemon.socket, -1, nobody)

    def ask(text):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.setgroups([])
            os.setgid(nobody)
            os.setuid(nobody)
            with daemon.connect() as s:
                s.sendall(text + b"\n")
                os.write(write, s.makefile().readline().encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as f:
            answer = f.read()
        os.waitpid(child, 0)
        return json.loads(answer)

    parent = os.path.dirname(daemon.directory)
    opened = []
    while parent != "/" and not os.stat(parent).st_mode & 0o001:  # pytest's directories are its owner's alone
        opened.append((parent, os.stat(parent).st_mode))
        os.chmod(parent, os.stat(parent).st_mode | 0o001)
        parent = os.path.dirname(parent)
    try:
        assert ask(b'{"command": "version"}')["ok"]
        refused = ask(b'{"command": "pause", "route": "gen"}')
        assert not refused["ok"] and "for root" in refused["error"]
    finally:
        for path, mode in opened:
            os.chmod(path, mode & 0o7777)
    assert daemon.route()["state"] == "running"


# ---- the process and the service manager


def test_the_process(daemon):
    def proc(name):
        with open("/proc/%d/%s" % (daemon.process.pid, name)) as f:
            return f.read()
    assert "Umask:\t0027" in proc("status")
    limit = [line.split() for line in proc("limits").splitlines() if line.startswith("Max open files")][0]
    assert limit[3] == limit[4]


def test_a_readable_password_is_warned_of(made):
    made.write(ROUTES, "connections: { cache: 'redis://u:hunter2@127.0.0.1:1/0' }")
    os.chmod(made.config, 0o644)
    made.start()
    assert "everyone may read it" in made.logged()
    assert "hunter2" not in made.logged() and "hunter2" not in ferryd("-T", "-c", made.config).stdout


class Manager:
    """What systemd hears."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.said = []

    def heard(self, what):
        self.socket.settimeout(0.05)
        with contextlib.suppress(socket.timeout):
            while True:
                self.said.append(self.socket.recv(4096).decode())
        return any(what in s for s in self.said)


def test_the_service_manager_is_told(made):
    manager = Manager(made.directory)
    made.start(env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "400000"})
    wait_for(lambda: manager.heard("READY=1"))
    wait_for(lambda: manager.heard("STATUS=1 of 1 routes run"))
    wait_for(lambda: sum("WATCHDOG=1" in s for s in manager.said) >= 3 or manager.heard("nothing"))
    manager.said.clear()
    assert made.ctl("reload").returncode == 0
    wait_for(lambda: manager.heard("READY=1"))
    assert manager.heard("RELOADING=1\nMONOTONIC_USEC=")
    made.signal(signal.SIGTERM)
    assert made.wait() == 0
    assert manager.heard("STOPPING=1")


def test_a_broken_configuration_is_never_ready(made):
    manager = Manager(made.directory)
    made.write("\n  gen: 5\n")
    made.start(env={"NOTIFY_SOCKET": manager.path}, wait=False)
    assert made.wait() == 1
    assert not manager.heard("READY=1")
