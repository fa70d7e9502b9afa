"""Brokers are shared by all tests of a run; names are unique to a test."""
import os
import re

import pytest
from support.brokers import Brokers, PrivateRedis
from support.ends import World
from support.ferry import Ferry
from support.kafka import Kafka
from support.rabbit import Rabbit
from support.redis import Redis

# Of all names on the brokers, so that what is left can be removed.
PREFIX = "ferrytest-"


@pytest.fixture(scope="session")
def brokers():
    b = Brokers()
    started = b.need("redis", "rabbitmq", "kafka")
    yield b
    if started and not os.environ.get("FERRY_KEEP_BROKERS"):
        b.stop(*started)


@pytest.fixture(scope="session")
def redis(brokers):
    r = Redis(brokers.redis_url)
    yield r
    for key in r.scan_iter(match=f"*{PREFIX}*", count=1000):
        r.unlink(key)
    r.close()


@pytest.fixture(scope="session")
def kafka(brokers):
    k = Kafka(brokers.kafka_bootstrap)
    yield k
    k.close()


@pytest.fixture
def rabbit(brokers):
    r = Rabbit(brokers.rabbit_url)
    yield r
    r.close()


@pytest.fixture(scope="session")
def connections(brokers):
    """The three of them, as a configuration names them. librdkafka's own bound is 1 MB a message."""
    return {"cache": brokers.redis_url, "rabbit": brokers.rabbit_url,
            "events": {"url": brokers.kafka_url, "properties": {"message.max.bytes": 16 << 20}}}


@pytest.fixture
def private_redis():
    """Starts one: private_redis(fsync="always"). Gone when the test is."""
    made = []

    def start(**settings):
        made.append(PrivateRedis(**settings).__enter__())
        return made[-1]
    yield start
    for p in made:
        p.__exit__()


@pytest.fixture
def world(redis, rabbit, kafka, connections):
    return World(redis, rabbit, kafka, connections)


@pytest.fixture
def durable_world(private_redis, rabbit, kafka, connections):
    """With a Redis of the test's own, which has written what it has answered: it may be killed."""
    private = private_redis(fsync="always")
    made = World(Redis(private.url), rabbit, kafka, {**connections, "cache": private.url})
    made.private = private
    yield made
    made.redis.close()


@pytest.fixture
def ferry(tmp_path):
    """Makes daemons: ferry(config, …) writes the file; the test starts it. Ended with the test."""
    made = []

    def make(config, **more):
        made.append(Ferry(tmp_path / f"ferry{len(made)}", config, **more))
        return made[-1]
    yield make
    for f in made:
        f.close()


def unique_name(text):
    text = re.sub(r"[^A-Za-z0-9]+", "-", text.removeprefix("test_")).strip("-")[:60]
    return f"{PREFIX}{text}-{os.urandom(3).hex()}"


@pytest.fixture
def unique(request):
    """A name for streams, queues and topics that no other test and no other run has."""
    return unique_name(request.node.name)
