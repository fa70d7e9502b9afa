"""What is measured: ferryd, and the bare loop of the client libraries, each as a process that carries one route."""
import json
import os
import pathlib
import subprocess
import time

from . import machine

STUCK = 30  # seconds without progress


class Failed(Exception):
    pass


def json_lines(text):
    merged = {}
    for line in text.splitlines():
        if line.startswith("{"):
            merged.update(json.loads(line))
    return merged


class Floor:
    name = "floor"

    def __init__(self, program, directory):
        self.program, self.directory = str(program), directory

    def __call__(self, *args, timeout=300):
        """Runs it to its end; what it printed."""
        done = subprocess.run([self.program, *map(str, args)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=timeout)
        if done.returncode:
            raise Failed(f"floor {' '.join(map(str, args))}: {done.stderr.strip()}")
        return json_lines(done.stdout)

    def start(self, source, sink, run, n):
        self.out = open(self.directory / "floor.log", "w+")
        self.process = subprocess.Popen([self.program, "-p", "-n", str(n), "-g", f"g{run}", source.floor_source(),
                                         sink.floor_sink()], stdin=subprocess.DEVNULL, stdout=self.out, stderr=self.out)
        return self.process

    def said(self):
        return (self.directory / "floor.log").read_text()[-500:].strip()

    def finish(self):
        """(CPU seconds, peak MB, complaint)"""
        _, status, usage = os.wait4(self.process.pid, 0)
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.out.seek(0)
        text = self.out.read()
        self.out.close()
        if self.process.returncode:
            raise Failed(f"floor: {text.strip()}")
        return usage.ru_utime + usage.ru_stime, json_lines(text)["rss_mb"], None


class Ferryd:
    name = "ferryd"

    def __init__(self, bin_directory, directory):
        self.bin, self.directory = pathlib.Path(bin_directory), directory
        self.socket = directory / "ctl.sock"

    def write(self, routes, connections):
        conf = {"name": "bench", "admin": {"socket": str(self.socket)}, "connections": connections, "routes": routes}
        path = self.directory / "ferry.yaml"
        path.write_text(json.dumps(conf, indent=2))  # JSON is YAML
        return path

    def launch(self, routes, connections):
        path = self.write(routes, connections)
        self.log = open(self.directory / "ferryd.log", "w+")
        self.process = subprocess.Popen([self.bin / "ferryd", "-c", path], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        return self.process

    def start(self, source, sink, run, n):
        self.n = n
        return self.launch({"bench": {"from": source.source(), "to": sink.sink()}},
                           {end.name: end.connection for end in {source.name: source, sink.name: sink}.values()})

    def ask(self, *args):
        done = subprocess.run([self.bin / "ferryctl", "-s", self.socket, "--json", *args], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=10)
        return json.loads(done.stdout) if done.stdout else {}

    def finish(self):
        pid = self.process.pid
        cpu, peak = machine.cpu_seconds(pid), machine.peak_mb(pid)
        complaint = self.account()
        self.stop()
        return cpu, peak, complaint

    def account(self):
        """Whether in = delivered + ... of the promise holds once all is delivered."""
        end = time.monotonic() + 2  # the sink has it before its confirm is here
        while True:
            counts = self.ask("routes")["routes"][0]["counters"]
            if counts["in"] == counts["delivered"] == self.n:
                return None
            if time.monotonic() > end:
                return f"in {counts['in']}, delivered {counts['delivered']} of {self.n}"
            time.sleep(0.05)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()

    def said(self):
        return (self.directory / "ferryd.log").read_text()[-2000:].strip()


def rate(samples, low, high):
    """Messages a second between two counts, interpolated."""
    def when(n):
        for (t0, c0), (t1, c1) in zip(samples, samples[1:]):
            if c1 >= n:
                return t0 + (t1 - t0) * (n - c0) / max(c1 - c0, 1)
        return samples[-1][0]
    return (high - low) / max(when(high) - when(low), 1e-6)


def ended_badly(process):
    """Without taking its resource usage from who waits for it later."""
    found = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    return found is not None and found.si_status != 0


def measure(subject, source, sink, run, n, broker_pids):
    """One run of one route; a dict of figures."""
    sink.begin(run)
    if source is not sink:
        source.begin(run)
    source.begin_source()
    watch = None
    began = time.monotonic()
    process = subject.start(source, sink, run, n)
    samples, progress, first = [(began, 0)], began, None
    try:
        while samples[-1][1] < n:
            count, now = sink.count(), time.monotonic()
            if count > samples[-1][1]:
                progress = now
            samples.append((now, count))
            if first is None and count:
                first = now - began
                watch = machine.Watch({subject.name: [process.pid], **broker_pids})
            if watch and not watch.end and count >= n * 0.9:
                watch.stop()
            if now - progress > STUCK or ended_badly(process):
                raise Failed(f"{count} of {n} after {now - began:.0f} s")
            time.sleep(sink.interval)
        cpu, peak, complaint = subject.finish()
    except Failed as e:
        if process.returncode is None:
            process.kill()
            process.wait()
        raise Failed(f"{subject.name}: {e}; it said: {subject.said()}") from e
    what, parts = machine.bound(watch.result(), subject.name)
    extra = sink.count() - n
    return {"others": machine.others(watch.result()), "steady": rate(samples, n * 0.1, n * 0.9), "overall": rate(samples, 1, n),
            "cpu_us": cpu / n * 1e6, "peak_mb": peak, "first_ms": first * 1e3, "bound": what, "cores": parts, "extra": extra,
            "left": source.left() if subject.name == "ferryd" else None, "complaint": complaint}
