"""ferryd under test: a configuration in a directory of its own, the daemon, and what ferryctl says about it.

Every look at the status checks that every message is accounted for (DESIGN 1, promise 2), every end that no secret was
logged."""
import json
import os
import pathlib
import signal
import subprocess
import time

from support.brokers import ROOT
from support.waiting import Late, until

BIN = pathlib.Path(os.environ.get("FERRY_BIN", ROOT / "build" / "bin"))
OUTCOMES = ("delivered", "dead", "filtered", "duplicate", "returned")


class Ferry:
    def __init__(self, directory, config, environment=None, secrets=(), options=()):
        """config: connections, routes, limits … as one dict; name, admin.socket and state_dir are added."""
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.file = self.directory / "ferry.yaml"
        self.log_file = self.directory / "ferryd.log"
        # A unix socket's path has at most 107 bytes, pytest's directories have many.
        self.socket = str(self.directory / "ctl.sock")
        if len(self.socket) > 100:
            self.socket = f"/tmp/ferry-test-{os.getpid()}-{id(self):x}.sock"
        self.environment = {**os.environ, **(environment or {})}
        self.environment.pop("NOTIFY_SOCKET", None)
        self.secrets = list(secrets)
        self.options = [*options, *os.environ.get("FERRYD_OPTIONS", "").split()]
        self.process = None
        self.last = None
        self.started_at = None
        self.write(config)

    # ---- the file

    def write(self, config):
        config = {"name": "it", "admin": {"socket": self.socket}, **config}
        if config.get("name") is None:
            del config["name"]
        # JSON is YAML whose strings are all quoted.
        self.file.write_text(json.dumps(config, indent=1) + "\n")

    def run(self, program, *args, check=True, timeout=30):
        done = subprocess.run([str(BIN / program), *args], env=self.environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=timeout)
        if check and done.returncode:
            raise AssertionError(f"{program} {' '.join(args)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    # ---- the process

    def start(self, wait=True):
        assert self.process is None, "it runs already"
        with open(self.log_file, "ab") as log:
            self.process = subprocess.Popen([str(BIN / "ferryd"), "-c", str(self.file), *self.options],
                                            env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.started_at = time.monotonic()
        self.last = None
        if wait:
            until(self.answers, f"ferryd answers on {self.socket}", timeout=20)
        return self

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"ferryd ended with {self.process.returncode}:\n{self.log()}")
        return self.run("ferryctl", "-s", self.socket, "version", check=False).returncode == 0

    def alive(self):
        assert self.process is not None and self.process.poll() is None, \
            f"ferryd has ended ({self.process and self.process.returncode}):\n{self.log()}"
        return True

    def signal(self, number):
        self.alive()
        self.process.send_signal(number)

    def kill9(self):
        self.signal(signal.SIGKILL)
        self.process.wait()
        self.process = None
        return time.monotonic()

    def stop(self, timeout=30, expect=0):
        """SIGTERM: drained, committed, exit 0. Returns how long it took."""
        self.status()
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            code = f"nothing within {timeout} s, killed"
        self.process = None
        assert code == expect, f"SIGTERM: exit {code}, expected {expect}\n{self.log()}"
        self.check_secrets()
        return time.monotonic() - began

    def close(self):
        """For the end of a test, whatever happened in it."""
        if self.process is not None:
            if self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(15)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
            self.process = None
        if os.path.exists(self.socket):
            os.unlink(self.socket)

    def log(self, lines=60):
        text = self.log_file.read_text(errors="replace") if self.log_file.exists() else "(no log)"
        return "\n".join(text.splitlines()[-lines:])

    def whole_log(self):
        return self.log_file.read_text(errors="replace")

    def check_secrets(self):
        text = self.whole_log()
        for secret in self.secrets:
            assert secret not in text, f"a secret is in {self.log_file}"

    # ---- what it says

    def ctl(self, *args, check=True):
        return self.run("ferryctl", "-s", self.socket, *args, check=check)

    def status(self):
        """Checked at each look: no outcome without a message, nothing counted backwards."""
        self.alive()
        done = self.ctl("--json", "status", check=False)
        assert done.returncode in (0, 3), f"ferryctl status: exit {done.returncode}\n{done.stderr}\n{self.log()}"
        status = json.loads(done.stdout)
        before = {r["name"]: r["counters"] for r in self.last["routes"]} if self.last else {}
        for r in status["routes"]:
            c = r["counters"]
            assert r["accounted"] and c["in"] == sum(c[o] for o in OUTCOMES) + r["in_flight"], \
                f"route {r['name']}: not accounted for: {c}, in flight {r['in_flight']}"
            for name, value in before.get(r["name"], {}).items():
                assert c[name] >= value, f"route {r['name']}: {name} went from {value} to {c[name]}"
        self.last = status
        return status

    def routes(self):
        return {r["name"]: r for r in self.status()["routes"]}

    def route(self, name):
        return self.routes()[name]

    def describe(self):
        if not self.last:
            return "no status yet"
        lines = []
        for r in self.last["routes"]:
            ends = [r["from"], *r["to"]]
            lines.append(f"  {r['name']}: {r['state']} {r['reason']!r} held_at={r['held_at']!r} in_flight={r['in_flight']} "
                         f"unsettled={r['unsettled']} {r['counters']}; "
                         + "; ".join(f"{e['kind']} {e['target']}: {e['state']} {e['reason']!r}" for e in ends))
        return "\n".join(lines)

    def wait(self, condition, what, timeout=30):
        """condition(routes by name) holds."""
        try:
            return until(lambda: condition(self.routes()), what, timeout, every=0.03)
        except Late as late:
            raise Late(f"{late}\nstatus:\n{self.describe()}\nlog:\n{self.log(40)}") from None

    def wait_up(self, *names, timeout=30):
        """Every route (or these) runs, and each of its ends is up."""
        def up(routes):
            chosen = [routes[n] for n in names] if names else routes.values()
            return all(r["state"] == "running" and all(e["state"] == "up" for e in (r["from"], *r["to"]))
                       for r in chosen)
        self.wait(up, "every route is up", timeout)
        return self

    def wait_delivered(self, counts, timeout=60):
        """counts: messages by route. Delivered, and nothing in flight or unsettled."""
        def done(routes):
            return all(routes[n]["counters"]["delivered"] >= count and quiet(routes[n]) for n, count in counts.items())
        self.wait(done, lambda: f"delivered {counts}", timeout)
        return self

    def wait_quiet(self, *names, timeout=30):
        """Nothing in flight and nothing unsettled."""
        def done(routes):
            return all(quiet(r) for n, r in routes.items() if not names or n in names)
        self.wait(done, "nothing in flight, nothing unsettled", timeout)
        return self


def quiet(route):
    return route["in_flight"] == 0 and route["unsettled"] == 0
