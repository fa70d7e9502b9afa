"""Messages that can be told apart and proved: each carries the run's id, its key, its number within the key, and the
SHA-256 of its payload. In headers where the source has headers; always also at the front of payloads with room for it, for
lists and channels, which carry the payload alone."""
import dataclasses
import hashlib
import os
import random
import re

RUN, KEY, SEQ, SHA = "t-run", "t-key", "t-seq", "t-sha256"
FRONT = re.compile(rb"\A<([0-9a-z]+)\|([^|>]*)\|(\d+)>")
FRONT_ROOM = 64


def sha256(payload):
    return "null" if payload is None else hashlib.sha256(payload).hexdigest()


def name_of(key):
    """No key is not an empty key."""
    return "(none)" if key is None else key


def new_run():
    return os.urandom(5).hex()


@dataclasses.dataclass(frozen=True)
class Message:
    """What a producer sends. key None: without a key, out of any order. Headers are (name, bytes or None)."""
    run: str
    key: str | None
    seq: int
    payload: bytes | None
    extra: tuple = ()

    @property
    def identity(self):
        return (self.run, name_of(self.key), self.seq)

    @property
    def headers(self):
        return ((RUN, self.run.encode()), (KEY, name_of(self.key).encode()), (SEQ, b"%d" % self.seq),
                (SHA, sha256(self.payload).encode())) + self.extra


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a consumer found at the end of a route, in the sink's own order. headers None: it holds none."""
    payload: bytes | None
    key: bytes | None = None
    headers: tuple | None = None
    where: str = ""


def identity_of(seen):
    """(run, key, seq), or None where it is nowhere to be found (a payload of a byte or two in a list)."""
    headers = dict(seen.headers or ())
    if RUN in headers and SEQ in headers and KEY in headers:
        try:
            return (headers[RUN].decode(), headers[KEY].decode(), int(headers[SEQ]))
        except (ValueError, AttributeError):
            return None
    front = FRONT.match(seen.payload or b"")
    return (front[1].decode(), front[2].decode(), int(front[3])) if front else None


class Maker:
    """Makes numbered messages of one run. Seeded, so that a failure can be had again: the seed is the run's id."""

    def __init__(self, run=None):
        self.run = run or new_run()
        self.random = random.Random(self.run)
        self.next = {}

    def payload(self, key, seq, size):
        front = b"<%s|%s|%d>" % (self.run.encode(), name_of(key).encode(), seq)
        if size < max(len(front) + 1, FRONT_ROOM):
            return self.random.randbytes(size)
        return front + b"\0" + self.random.randbytes(size - len(front) - 1)

    def make(self, key, size=256, extra=(), payload=...):
        seq = self.next[key] = self.next.get(key, -1) + 1
        if payload is ...:
            payload = self.payload(key, seq, size)
        return Message(self.run, key, seq, payload, tuple(extra))

    def many(self, count, keys=50, size=256, extra=()):
        """Round robin over so many keys."""
        return [self.make(f"k{n % keys}", size, extra) for n in range(count)]
