"""Redis by redis-py: what producers send, what consumers find, what is left."""
import threading
import time

import redis

from support.message import Seen

GROUP = "ferry"


class Redis:
    def __init__(self, url):
        self.client = redis.Redis.from_url(url)
        # As it is: redis-py would make a dict of an entry's fields and lose those that repeat.
        self.client.set_response_callback("XRANGE", lambda reply, **_: reply)

    def __getattr__(self, name):
        return getattr(self.client, name)

    def wait(self, timeout=30):
        """Until it answers; that moment."""
        until = time.monotonic() + timeout
        while True:
            try:
                self.client.ping()
                return time.monotonic()
            except redis.RedisError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.02)

    # ---- producers

    def send_stream(self, stream, messages):
        self._pipelined(messages, lambda m: ("XADD", stream, "*", *fields_of(m)))

    def send_list(self, key, messages):
        """To the right: lists are taken from the left."""
        self._pipelined(messages, lambda m: ("RPUSH", key, m.payload))

    def send_channel(self, channel, messages):
        """All of them heard by somebody."""
        heard = self._pipelined(messages, lambda m: ("PUBLISH", channel, m.payload))
        assert all(heard), f"{heard.count(0)} of {len(heard)} on channel {channel} were heard by nobody"

    def _pipelined(self, messages, command, at_once=500):
        replies = []
        for start in range(0, len(messages), at_once):
            pipe = self.client.pipeline(transaction=False)
            for m in messages[start:start + at_once]:
                pipe.execute_command(*command(m))
            replies += pipe.execute()
        return replies

    # ---- consumers

    def read_stream(self, stream):
        entries, start = [], "-"
        while True:
            page = self.client.execute_command("XRANGE", stream, start, "+", "COUNT", 2000)
            entries += page
            if len(page) < 2000:
                return [seen_of(fields, f"in stream {stream} at {id.decode()}") for id, fields in entries]
            start = "(" + page[-1][0].decode()

    def read_list(self, key):
        """As a consumer who takes from the left would get them."""
        return [Seen(payload, where=f"in list {key}") for payload in self.client.lrange(key, 0, -1)]

    # ---- what is left

    def stream_backlog(self, stream, group=GROUP):
        """Entries pending or not delivered yet; None while there is no such group."""
        if not self.client.exists(stream):
            return 0
        for g in self.client.xinfo_groups(stream):
            if g["name"] == group.encode():
                after = self.client.execute_command("XRANGE", stream, "(" + g["last-delivered-id"].decode(), "+",
                                                    "COUNT", 1)
                return g["pending"] + len(after)
        return None

    def list_backlog(self, key):
        """The list, and what instances have taken from it and not trimmed."""
        keys = [k for k in self.client.scan_iter(match=f"*{key}*", count=1000)
                if k == key.encode() or k.endswith(b".pending")]
        return sum(self.client.llen(k) for k in keys)


def fields_of(m):
    words = []
    if m.payload is not None:
        words += ["payload", m.payload]
    if m.key is not None:
        words += ["key", m.key]
    for name, value in m.headers:
        words += [name, value]
    return words


def seen_of(fields, where=""):
    """Undoes what docs/mapping.md says that ferryd does for a stream."""
    payload = key = None
    headers, nulls = [], set()
    for name, value in zip(fields[::2], fields[1::2], strict=True):
        name = name.decode()
        if name == "payload" and payload is None:
            payload = value
        elif name == "key" and key is None:
            key = value
        elif name == "ferry.types":
            nulls = {entry.rpartition("=")[0] for entry in value.decode().split(";") if entry.endswith("=null")}
        elif name != "ferry.empty":
            headers.append((name.removeprefix("ferry.header."), value))
    return Seen(payload, key, tuple(unnull(headers, nulls)), where)


def unnull(headers, nulls):
    """A field has always a value: ferry.types names those that had none, the n-th of a repeated name as NAME#n."""
    count, total = {}, {}
    for name, _ in headers:
        total[name] = total.get(name, 0) + 1
    for name, value in headers:
        n = count[name] = count.get(name, 0) + 1
        yield name, None if (name if total[name] == 1 else f"{name}#{n}") in nulls else value


class Listener(threading.Thread):
    """Hears channels from the moment it is made."""

    def __init__(self, url, *channels):
        super().__init__(daemon=True)
        self.pubsub = redis.Redis.from_url(url).pubsub(ignore_subscribe_messages=False)
        self.pubsub.subscribe(*channels)
        waiting = set(channels)
        while waiting:
            m = self.pubsub.get_message(timeout=5)
            assert m is not None, f"no subscription to {waiting}"
            waiting.discard(m["channel"].decode())
        self.heard = {c: [] for c in channels}
        self.halt = threading.Event()
        self.start()

    def run(self):
        while not self.halt.is_set():
            m = self.pubsub.get_message(timeout=0.1)
            if m and m["type"] == "message":
                name = m["channel"].decode()
                self.heard[name].append(Seen(m["data"], where=f"on channel {name}"))

    def close(self):
        self.halt.set()
        self.join(5)
        self.pubsub.close()
