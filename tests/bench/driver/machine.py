"""What processes use: CPU clocks, busy threads, resident memory, and how idle the machine was."""
import os
import pathlib
import time

PROC = pathlib.Path("/proc")


def cpu_seconds(pid):
    """The CPU clock of another process (clock_getcpuclockid(3)): the user and system time of /proc/PID/stat, in nanoseconds."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def thread_seconds(pid):
    times = {}
    for task in os.scandir(PROC / str(pid) / "task"):
        try:
            with open(task.path + "/schedstat") as f:
                times[task.name] = int(f.read().split()[0]) / 1e9
        except OSError:
            pass
    return times


def peak_mb(pid, field="VmHWM"):
    for line in (PROC / str(pid) / "status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return 0.0


def session_members(leader):
    found = []
    for entry in PROC.iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader:
                found.append(int(entry.name))
    return found


def cpu_ticks():
    """(idle, all) of the machine."""
    with open("/proc/stat") as f:
        fields = [int(n) for n in f.readline().split()[1:9]]
    return fields[3] + fields[4], sum(fields)


def wait_until_idle(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        idle, ticks = cpu_ticks()
        time.sleep(0.5)
        idle_now, ticks_now = cpu_ticks()
        if idle_now - idle > 0.9 * (ticks_now - ticks):
            return True
    return False


class Watch:
    """What the named processes used between two moments, in cores."""

    def __init__(self, pids):
        self.pids = pids  # name -> list of pids
        self.begin = self.taken()
        self.end = None

    def taken(self):
        threads = {name: {(pid, tid): used for pid in pids for tid, used in self.threads(pid).items()}
                   for name, pids in self.pids.items()}
        return time.monotonic(), cpu_ticks(), threads

    @staticmethod
    def threads(pid):
        try:
            return thread_seconds(pid)
        except OSError:
            return {}

    def stop(self):
        self.end = self.taken()

    def result(self):
        """{"seconds", "idle" and "cores" of the machine, "used": {name: (cores, cores of the busiest thread)}}"""
        (t0, (idle0, all0), before), (t1, (idle1, all1), after) = self.begin, self.end
        seconds = max(t1 - t0, 1e-3)
        used = {}
        for name, threads in after.items():
            each = [now - before[name].get(key, 0) for key, now in threads.items()]
            used[name] = (sum(each) / seconds, max(each, default=0) / seconds)
        cores = os.cpu_count()
        idle = (idle1 - idle0) / max(all1 - all0, 1) * cores
        return {"seconds": seconds, "idle": idle, "cores": cores, "used": used}


def others(result):
    """Cores that processes used which have no part in the run."""
    return max(result["cores"] - result["idle"] - sum(total for total, _ in result["used"].values()), 0)


def bound(result, subject):
    """In words: what was saturated."""
    used, idle, cores = result["used"], result["idle"], result["cores"]
    parts = " · ".join(f"{name} {total:.2f}" for name, (total, _) in used.items())
    parts += f" · others {others(result):.2f} · idle {idle:.2f}"
    if used.get("redis", (0, 0))[1] > 0.85:
        what = "redis-server's one thread"
    elif used[subject][1] > 0.85:
        what = f"{subject}: one thread"
    elif idle < 0.15 * cores:
        what = "all cores" if others(result) < 0.2 * cores else "other work on the machine"
    elif used.get("rabbitmq", (0, 0))[0] > 0.3:
        what = "RabbitMQ's processes for queue and channel"
    else:
        what = "waiting"
    return what, parts
