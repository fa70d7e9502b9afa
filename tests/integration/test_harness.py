"""The harness itself, without any ferryd: what the foreign clients write, they read back as it was. A test that finds a
difference behind ferryd then found it in ferryd."""
from support.checker import check
from support.message import Maker
from support.redis import Listener

SIZES = (0, 1, 256, 1 << 20)
EXTRA = (("dup", b"1"), ("other", b"x"), ("dup", b""), ("empty", b""))


def messages(extra=()):
    maker = Maker()
    return [maker.make(f"k{n % 3}", size, extra) for n in range(6) for size in SIZES]


def test_redis_client(redis, brokers, unique):
    sent = messages(EXTRA)
    redis.send_stream(unique, sent)
    check(sent, redis.read_stream(unique), keyed=True).require()
    redis.send_list(unique + "-list", sent)
    check(sent, redis.read_list(unique + "-list")).require()
    listener = Listener(brokers.redis_url, unique)
    redis.send_channel(unique, sent)
    redis.delete(unique, unique + "-list")
    while len(listener.heard[unique]) < len(sent):
        assert listener.is_alive()
    listener.close()
    check(sent, listener.heard[unique]).require()


def test_rabbit_client(rabbit, unique):
    sent = messages((("empty", b""),))
    rabbit.queue(unique, quorum=True)
    rabbit.send(unique, sent)
    check(sent, rabbit.take(unique), keyed=True).require()
    assert rabbit.depth(unique) == 0


def test_kafka_client(kafka, unique):
    maker = Maker()
    sent = messages(EXTRA + (("null", None),)) + [maker.make("t", payload=None), maker.make(None, 10)]
    kafka.topic(unique)
    kafka.send(unique, sent)
    check(sent, kafka.read(unique)[unique], keyed=True).require()
    assert kafka.count(unique) == len(sent) == kafka.backlog(unique, unique)


def test_daemon(ferry):
    f = ferry({"routes": {"r": {"from": {"test": "generate", "size": 100, "count": 1000}, "to": {"test": "discard"}}}})
    f.start().wait_delivered({"r": 1000})
    assert f.route("r")["counters"]["in"] == 1000
    assert f.stop() < 5


def test_rabbit_flood(rabbit, unique):
    sent = Maker().many(3000)
    rabbit.queue(unique)
    rabbit.flood(unique, sent)
    check(sent, rabbit.take(unique), keyed=True).require()
