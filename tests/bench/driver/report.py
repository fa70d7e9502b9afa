"""The tables, and the gates that a route has to pass."""
import os

FAST, RABBIT, CPU = 200000, 30000, 5.0
UNGATED = 0  # between two streams of one server, whose one thread reads and writes every message


def conditions(options, bench):
    queue = f"durable {options.queue} queues, persistent messages"
    return (f"{options.count} messages of 256 bytes ({options.rabbit_count} with RabbitMQ), {options.runs} runs, interleaved, "
            f"medians; {os.cpu_count()} cores shared with the brokers;\nRedis appendonly, appendfsync everysec; Kafka topics "
            f"with 4 partitions; RabbitMQ {queue}; ferryd: order key, at least once, its defaults\n")


def thousands(n):
    return f"{n / 1000:.0f}k" if n >= 10000 else f"{n / 1000:.1f}k"


def line(turn, route, subject, f):
    wrong = "".join(f"  {what}" for what in troubles(f))
    return (f"  run {turn} {route:13} {subject:7} {thousands(f['steady']):>6}/s (all {thousands(f['overall'])})  "
            f"{f['cpu_us']:6.2f} µs  {f['peak_mb']:5.0f} MB  first {f['first_ms']:.0f} ms  {f['bound']}: {f['cores']}{wrong}")


def troubles(f):
    if f.get("extra"):
        yield f"{f['extra']} TOO MANY IN THE SINK"
    if f.get("left"):
        yield f"{f['left']} STILL AT THE SOURCE"
    if f.get("complaint"):
        yield f["complaint"]


def gate(route):
    return RABBIT if "rabbit" in route else UNGATED if route == "redis-redis" else FAST


def table(head, rows):
    cells = [head, *rows]
    widths = [max(len(str(row[i])) for row in cells) for i in range(len(head))]
    lines = ["  ".join(str(c).ljust(w) if i == 0 else str(c).rjust(w) for i, (c, w) in enumerate(zip(row, widths))).rstrip()
             for row in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def routes_table(routes):
    rows, notes = [], []
    for route, by in routes.items():
        ferryd, floor = by["ferryd"], by["floor"]
        if not ferryd:
            rows.append([route, "failed"] + [""] * 10)
            notes += [f"{route}: {f}" for f in by["failures"]]
            continue
        ok = ferryd["steady"] >= gate(route) and ferryd["cpu_us"] < CPU
        ratio = [f"{ferryd['steady'] / floor['steady']:.2f}", f"{ferryd['cpu_us'] / floor['cpu_us']:.2f}"] if floor else ["", ""]
        rows.append([route, thousands(ferryd["steady"]), thousands(ferryd["overall"]), f"{ferryd['cpu_us']:.2f}",
                     f"{ferryd['peak_mb']:.0f}", f"{ferryd['first_ms']:.0f}", thousands(floor["steady"]) if floor else "",
                     f"{floor['cpu_us']:.2f}" if floor else "", f"{floor['peak_mb']:.0f}" if floor else "", *ratio,
                     "pass" if ok else f"below {thousands(gate(route))}" if ferryd["steady"] < gate(route) else "CPU"])
        notes.append(f"{route}: bounded by {ferryd['bound']} (cores: {ferryd['cores']})" +
                     (f"; the floor by {floor['bound']} ({floor['cores']})" if floor else ""))
        notes += [f"{route}: {what}" for what in troubles(ferryd)]
    head = ["route", "steady/s", "all/s", "CPU µs", "MB", "first ms", "floor/s", "CPU µs", "MB", "rate ×", "CPU ×", "gate"]
    return table(head, rows) + "\n\nWhat bounds each:\n" + "\n".join("  " + n for n in notes)


def delay_rows(delays):
    for name, d in delays.items():
        found = d["delay_us"]
        yield [name, thousands(d["rate"])] + ([f"{found[k] / 1000:.1f}" for k in ("p50", "p90", "p99", "p999", "max")]
                                              if found else ["failed", "", "", "", ""])


def tables(results):
    parts = []
    if results.get("routes"):
        parts.append(routes_table(results["routes"]))
    if results.get("operations"):
        rows = [[name, thousands(f["steady"]), f"{f['cpu_us']:.2f}", f"{f['rss_mb']:.0f}"]
                for name, f in results["operations"].items()]
        parts.append("One operation alone, libraries only:\n" + table(["operation", "steady/s", "CPU µs", "MB"], rows))
    if results.get("delay"):
        parts.append("Delay end to end in ms, at half load:\n" +
                     table(["route", "rate/s", "p50", "p90", "p99", "p99.9", "max"], list(delay_rows(results["delay"]))))
    if results.get("idle"):
        at_rest = results["idle"]
        parts.append(f"At rest, three routes: {at_rest['resident_mb']:.1f} MB resident, {at_rest['cpu_percent']:.2f}% of a core"
                     + (f" ({at_rest['complaint']})" if at_rest.get("complaint") else ""))
    if results.get("micro"):
        rows = [[f"{name}: {what}", f"{value:.3f}"] for name, figures in results["micro"].items()
                for what, value in figures.items()]
        parts.append("Parts without a broker:\n" + table(["part", "figure"], rows))
    parts.append(f"({results['seconds']:.0f} s)")
    return "\n\n".join(["", *parts])
