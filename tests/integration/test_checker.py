"""The checker fails on each thing that it is there to find."""
import dataclasses

import pytest
from support.checker import check
from support.message import Maker, Seen


def arrived(messages):
    return [Seen(m.payload, m.key and m.key.encode(), m.headers) for m in messages]


@pytest.fixture
def sent():
    maker = Maker()
    return maker.many(200, keys=7, extra=(("a", b"1"), ("a", b""), ("b", None))) + [
        maker.make("k1", 0), maker.make("k2", payload=None), maker.make(None, 300)]


def test_clean_run_passes(sent):
    v = check(sent, arrived(sent), keyed=True).require()
    assert (v.sent, v.seen, v.duplicates) == (203, 203, 0)


def test_other_keys_may_interleave(sent):
    check(sent, arrived(sorted(sent, key=lambda m: m.key or "")), keyed=True).require()


def test_loss_is_found(sent):
    v = check(sent, arrived(sent[:50] + sent[51:]), keyed=True)
    assert v.lost == [sent[50].identity] and len(v.problems()) == 1


def test_duplicate_is_found(sent):
    v = check(sent, arrived(sent + [sent[3]]), keyed=True)
    assert v.duplicates == 1 and v.problems() and not v.problems(duplicates=1)
    assert not v.inversions, "a later copy is no inversion"


def test_swap_is_found(sent):
    a, b = [i for i, m in enumerate(sent) if m.key == "k4"][5:7]
    sent_order = list(sent)
    sent_order[a], sent_order[b] = sent_order[b], sent_order[a]
    v = check(sent, arrived(sent_order), keyed=True)
    assert len(v.inversions) == 1 and v.problems() and not v.problems(ordered=False)


@pytest.mark.parametrize("change", [
    dict(headers=lambda h: h[:-1]),
    dict(headers=lambda h: h + (("extra", b""),)),
    dict(headers=lambda h: h[:-1] + ((h[-1][0], b""),)),
    dict(headers=lambda h: h[:5] + h[6:] + (h[5],)),
    dict(payload=lambda p: p[:-1]),
    dict(payload=lambda p: p[:-1] + bytes([p[-1] ^ 1])),
    dict(payload=lambda p: None),
    dict(key=lambda k: b"other"),
    dict(key=lambda k: None),
], ids=["header lost", "header added", "NULL header became empty", "headers swapped", "payload cut", "bit flipped",
        "payload gone", "key changed", "key lost"])
def test_change_is_found(sent, change):
    seen = arrived(sent)
    (field, alter), = change.items()
    seen[9] = dataclasses.replace(seen[9], **{field: alter(getattr(seen[9], field))})
    v = check(sent, seen, keyed=True)
    assert len(v.unexpected) == 1 and v.problems()


def test_null_and_empty_differ(sent):
    seen = arrived(sent)
    assert seen[-2].payload is None
    seen[-2] = dataclasses.replace(seen[-2], payload=b"")
    assert check(sent, seen, keyed=True).problems()


def test_stranger_is_found(sent):
    other = Maker().many(1)
    assert check(sent, arrived(sent + other), keyed=True).unexpected


def payloads_alone(messages):
    return [Seen(m.payload) for m in messages]


def test_payloads_alone_carry_their_identity():
    sent = Maker().many(60, keys=3)
    check(sent, payloads_alone(sent)).require()
    assert check(sent, payloads_alone(sent[1:])).lost == [sent[0].identity]
    assert check(sent, payloads_alone(sent + sent[:1])).duplicates == 1
    assert check(sent, payloads_alone(sent[3:6] + sent[:3] + sent[6:])).inversions
    assert check(sent, payloads_alone(sent) + [Seen(b"something else")]).unexpected


def test_nameless_payloads_are_counted():
    maker = Maker()
    sent = [maker.make("k", 0), maker.make("k", payload=b"\0"), maker.make("k", payload=b"\0"), maker.make("k", 100)]
    check(sent, payloads_alone(sent)).require()
    assert len(check(sent, payloads_alone(sent[1:])).lost) == 1
    assert len(check(sent, payloads_alone(sent[:1] + sent[2:])).lost) == 1
    assert check(sent, payloads_alone(sent + [sent[1]])).duplicates == 1
    assert check(sent, payloads_alone(sent) + [Seen(b"\1")]).unexpected
