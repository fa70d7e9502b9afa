"""Beside the routes: one broker operation alone, delay end to end, a daemon at rest, and the parts that need no broker."""
import os
import subprocess
import time

from . import machine
from .ends import SIZE, until
from .subjects import Failed, json_lines

MICRO = ["micro_watermark", "micro_template", "micro_config"]
DELAY_SECONDS = 5


def operations(bench):
    """Each broker's reading and writing alone: the floor's figures, medians by steady rate."""
    taken = {}
    for _ in range(bench.options.runs):
        for name in dict.fromkeys(n for route in bench.options.routes for n in route.split("-")):
            end, n = bench.ends[name], bench.count(name)
            end.fill(n)
            run = bench.next_run()
            end.begin(run)
            machine.wait_until_idle(bench.options.wait)
            write = bench.floor("-n", n, "generate", end.floor_sink())
            end.begin_source()
            read = bench.floor("-n", n, "-g", f"g{run}", end.floor_source(), "discard")
            end.end()
            taken.setdefault(f"{name} write", []).append(write)
            taken.setdefault(f"{name} read", []).append(read)
    return {name: sorted(figures, key=lambda f: f["steady"])[len(figures) // 2] for name, figures in taken.items()}


def delays(bench, results):
    """From when a message was due at the source's broker until it was read from the sink's, at half of what the route carried;
    and the same with one broker and no bridge."""
    found = {}
    for route in ("kafka-redis", "redis-redis"):
        if route not in bench.options.routes:
            continue
        measured = results.get("routes", {}).get(route, {}).get("ferryd")
        rate = int(measured["steady"] / 2) if measured else 50000
        source, sink = (bench.ends[n] for n in route.split("-"))
        n = rate * DELAY_SECONDS
        conf, fill = source.stray()
        sink.begin(bench.next_run())
        out = open(bench.directory / "delay.log", "w+")
        process = bench.ferryd.launch({"delay": {"from": conf, "to": sink.sink()}},
                                      {e.name: e.connection for e in {source.name: source, sink.name: sink}.values()})
        try:
            bench.floor("-n", 1, "-l", 0, "generate", fill)
            until(f"{route}: the first message", lambda: sink.count() >= 1)
            reader = subprocess.Popen([bench.floor.program, "-n", str(n + 1), "-g", "delay", "-d", sink.floor_sink(),
                                       "discard"], stdout=out, stderr=out)
            machine.wait_until_idle(bench.options.wait)
            time.sleep(2)
            bench.floor("-n", n, "-r", rate, "-l", 1, "-s", SIZE, "generate", fill)
            try:
                reader.wait(30)
            except subprocess.TimeoutExpired:
                reader.kill()
                reader.wait()
            out.seek(0)
            figures = json_lines(out.read()).get("delay_us")
        except (Failed, RuntimeError) as e:
            figures = None
            bench.say(f"  delay {route}: {e}")
        finally:
            out.close()
            if process.poll() is None:
                bench.ferryd.stop()
        sink.end()
        found[route] = {"rate": rate, "delay_us": figures}
    for name in ("redis", "kafka"):
        found[name + " alone"] = {"rate": 50000, "delay_us": direct(bench, bench.ends[name], 50000)}
    return found


def direct(bench, end, rate):
    _, address = end.stray()
    n = rate * DELAY_SECONDS
    bench.floor("-n", 1, "-l", 0, "generate", address)
    with open(bench.directory / "delay.log", "w+") as out:
        reader = subprocess.Popen([bench.floor.program, "-n", str(n + 1), "-g", "direct", "-d", address, "discard"],
                                  stdout=out, stderr=out)
        machine.wait_until_idle(bench.options.wait)
        time.sleep(2)
        bench.floor("-n", n, "-r", rate, "-l", 1, "-s", SIZE, "generate", address)
        reader.wait(30)
        out.seek(0)
        return json_lines(out.read()).get("delay_us")


def idle(bench):
    """Three routes that have nothing to do: memory, and the share of a core in five seconds."""
    redis, kafka, rabbit = (bench.ends[n] for n in ("redis", "kafka", "rabbit"))
    run = bench.next_run()
    for end in (kafka, rabbit):
        end.begin(run)
    empty = f"bidle{run}"
    routes = {
        "a": {"from": {"redis": "redis", "stream": empty, "group": "g"}, "to": kafka.sink()},
        "b": {"from": {"kafka": "kafka", "topic": f"bdst{run}", "group": f"i{run}"}, "to": rabbit.sink()},
        "c": {"from": {"rabbitmq": "rabbit", "queue": "bsrc"}, "to": {"redis": "redis", "stream": empty + "b"}},
    }
    process = bench.ferryd.launch(routes, {e.name: e.connection for e in (redis, kafka, rabbit)})
    time.sleep(4)
    machine.wait_until_idle(bench.options.wait)
    before, began = machine.cpu_seconds(process.pid), time.monotonic()
    time.sleep(5)
    figures = {"cpu_percent": (machine.cpu_seconds(process.pid) - before) / (time.monotonic() - began) * 100,
               "resident_mb": machine.peak_mb(process.pid, "VmRSS")}
    states = {r["name"]: r["state"] for r in bench.ferryd.ask("routes").get("routes", [])}
    bench.ferryd.stop()
    for end in (kafka, rabbit):
        end.end()
    if set(states.values()) != {"running"}:
        figures["complaint"] = f"the routes were {states}"
    return figures


def micro(bench):
    found = {"engine": engine(bench)}
    for name in MICRO:
        program = bench.programs / name
        if program.exists():
            done = subprocess.run([program], stdout=subprocess.PIPE, text=True, env=os.environ)
            found[name.removeprefix("micro_")] = json_lines(done.stdout)
    return found


def engine(bench):
    """The route engine alone: generate to discard, in one lane."""
    n = 3000000 if not bench.options.quick else 300000
    process = bench.ferryd.launch({"engine": {"from": {"test": "generate", "count": n, "keys": 10000},
                                              "to": {"test": "discard"}}}, {})

    def done():
        time.sleep(0.1)
        routes = bench.ferryd.ask("routes").get("routes", [])
        return routes and routes[0]["counters"]["delivered"] == n

    until("generate to discard", done)
    figures = {"cpu_us": machine.cpu_seconds(process.pid) / n * 1e6, "peak_mb": machine.peak_mb(process.pid)}
    bench.ferryd.stop()
    return figures
