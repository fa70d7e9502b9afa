"""The checker: holds what was sent against what arrived.

    lost         sent and nowhere in the sink
    unexpected   in the sink and never sent, or sent otherwise: digest, key or a header differ
    duplicates   sum over identities of max(0, copies - 1)
    inversions   per key, first occurrences below the highest number seen so far

Messages without an identity (payloads of a byte or two in a list) are counted by their digests."""
import collections
import dataclasses

from support.message import identity_of, sha256

SHOWN = 5


@dataclasses.dataclass
class Verdict:
    sent: int
    seen: int
    lost: list
    unexpected: list
    duplicates: int
    inversions: list

    def problems(self, duplicates=0, ordered=True):
        found = []
        if self.lost:
            found.append(f"{len(self.lost)} lost: {self.lost[:SHOWN]}")
        if self.unexpected:
            found.append(f"{len(self.unexpected)} unexpected: {self.unexpected[:SHOWN]}")
        if self.duplicates > duplicates:
            found.append(f"{self.duplicates} duplicates, at most {duplicates} are allowed")
        if ordered and self.inversions:
            found.append(f"{len(self.inversions)} out of order: {self.inversions[:SHOWN]}")
        return found

    def require(self, what="", duplicates=0, ordered=True):
        found = self.problems(duplicates, ordered)
        assert not found, f"{what}: of {self.sent} sent, {self.seen} arrived; " + "; ".join(found)
        return self


def differences(message, seen, keyed, bare=False, ignore=()):
    """How what arrived differs from what was sent, in words. Where the sink holds no headers, only the payload can. bare: the
    source held the payload alone. ignore: names of headers that the source's broker adds, in any order, to what it delivers
    again."""
    if sha256(message.payload) != sha256(seen.payload):
        sizes = ["none" if p is None else len(p) for p in (message.payload, seen.payload)]
        yield f"payload of {sizes[0]} bytes became one of {sizes[1]} with another digest"
    headers = () if bare else message.headers
    found = tuple(h for h in seen.headers or () if h[0] not in ignore)
    if len(found) < len(seen.headers or ()):
        headers, found = sorted(headers, key=repr), sorted(found, key=repr)
    if seen.headers is not None and found != headers:
        missing = [h for h in headers if h not in found]
        added = [h for h in found if h not in headers]
        yield f"headers: missing {missing}, added {added}" if missing or added else "headers: order or number differ"
    key = None if bare or message.key is None else message.key.encode()
    if keyed and seen.key != key:
        yield f"key {key!r} became {seen.key!r}"


def check(sent, seen, keyed=False, compare=differences):
    """sent: Messages. seen: Seens, in the sink's order (the order in which it would hand them to a consumer). keyed: the sink
    holds keys. compare(message, seen, keyed) tells differences."""
    wanted = {}
    for m in sent:
        assert m.identity not in wanted, f"the test itself sent {m.identity} twice"
        wanted[m.identity] = m
    copies = collections.Counter()
    highest = {}
    nameless, unexpected, inversions = [], [], []
    for s in seen:
        identity = identity_of(s)
        if identity is None:
            nameless.append(s)
            continue
        m = wanted.get(identity)
        if m is None:
            unexpected.append(f"{identity}: never sent {s.where}")
            continue
        unexpected.extend(f"{identity}: {d} {s.where}" for d in compare(m, s, keyed))
        copies[identity] += 1
        run, key, seq = identity
        if m.key is None:
            continue
        if copies[identity] == 1 and seq < highest.get((run, key), -1):
            inversions.append(f"{identity} after {highest[run, key]}")
        highest[run, key] = max(seq, highest.get((run, key), -1))
    missing = collections.defaultdict(list)
    for identity, m in wanted.items():
        if not copies[identity]:
            missing[sha256(m.payload)].append(identity)
    duplicates = sum(n - 1 for n in copies.values() if n > 1)
    for s in nameless:
        found = missing.get(sha256(s.payload))
        if found:
            found.pop()
        elif s.headers is None and any(sha256(m.payload) == sha256(s.payload) for m in wanted.values()):
            duplicates += 1
        else:
            unexpected.append(f"nameless, payload {s.payload if s.payload is None else s.payload[:40]!r}, "
                              f"headers {s.headers} {s.where}")
    lost = sorted((identity for identities in missing.values() for identity in identities),
                  key=lambda i: (i[0], i[1], i[2]))
    return Verdict(len(wanted), len(seen), lost, unexpected, duplicates, inversions)
