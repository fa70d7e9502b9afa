"""The real brokers, run by scripts/brokers. One that is missing is a failure that says how to get it, never a skip."""
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
SCRIPT = str(ROOT / "scripts" / "brokers")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Brokers:
    """One set of brokers: those of the environment, or, given settings, others."""

    def __init__(self, **settings):
        self.settings = dict(settings)
        self.env = dict(word.split("=", 1) for line in self.run("env").splitlines()
                        for word in line.removeprefix("export ").split())
        self.redis_url, self.rabbit_url, self.kafka_url, self.kafka_bootstrap, self.redis_port, self.rabbit_port = (
            self.env[f"FERRY_{n}"] for n in ("REDIS_URL", "RABBIT_URL", "KAFKA_URL", "KAFKA_BOOTSTRAP", "REDIS_PORT",
                                             "RABBIT_PORT"))

    def run(self, *args, timeout=120):
        done = subprocess.run([SCRIPT, *args], env={**os.environ, **self.settings}, timeout=timeout,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if done.returncode:
            raise AssertionError(f"scripts/brokers {' '.join(args)} failed ({done.returncode}):\n"
                                 f"{done.stdout}{done.stderr}")
        return done.stdout

    def need(self, *names):
        """They answer; what does not run is started. True for those that were started: theirs is the stopping."""
        started = []
        for name in names:
            probe = subprocess.run([SCRIPT, "status", name], env={**os.environ, **self.settings},
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            if probe.returncode:
                started.append(name)
        if started:
            self.run("start", *started)
        return started

    def killer(self, name):
        """What kills it (-9) when called, at once: running the script would take too long to hit the middle of anything."""
        pid = int(self.run("pid", name))
        return lambda: os.killpg(pid, signal.SIGKILL)

    def start(self, name):
        """Returns when it answers; that moment, on the monotonic clock."""
        self.run("start", name)
        return time.monotonic()

    def stop(self, *names):
        self.run("stop", *names)

    def rabbitmqctl(self, *args):
        return self.run("rabbitmqctl", "--quiet", *args)


class PrivateRedis:
    """A Redis of the test's own, for what must not happen to the shared one."""

    def __init__(self, fsync="everysec"):
        self.directory = tempfile.mkdtemp(prefix="ferry-redis-")
        self.brokers = Brokers(FERRY_RUN=self.directory, FERRY_REDIS_PORT=str(free_port()), FERRY_REDIS_FSYNC=fsync)
        self.url = self.brokers.redis_url
        self.port = int(self.brokers.redis_port)

    def __enter__(self):
        self.brokers.start("redis")
        return self

    def __exit__(self, *_):
        self.brokers.stop("redis")
        shutil.rmtree(self.directory, ignore_errors=True)
