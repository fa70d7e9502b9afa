"""The two ends of a route as tests see them: how an endpoint is written in a configuration, what its broker needs first, and
the foreign client that feeds or empties it."""
import functools

from support import checker
from support.message import KEY
from support.redis import GROUP, Listener


class World:
    """The clients, by broker, and the connections as a configuration names them."""

    def __init__(self, redis, rabbit, kafka, connections):
        self.redis, self.rabbit, self.kafka, self.connections = redis, rabbit, kafka, connections
        self.redis_url = connections["cache"]


class Source:
    headers = True       # it holds headers and keys
    repeats = True       # a name more than once
    null_header = False  # a header without a value
    null_payload = False
    at_least_once = True
    adds = ()            # headers of the broker's own, on what it delivers again

    def __init__(self, world, name):
        self.world, self.name = world, name

    def prepare(self):
        pass


class RedisStreamSource(Source):
    null_payload = True

    def config(self):
        return {"redis": "cache", "stream": self.name, "group": GROUP}

    def send(self, messages):
        self.world.redis.send_stream(self.name, messages)

    def backlog(self):
        return self.world.redis.stream_backlog(self.name)


class RedisListSource(Source):
    headers = False

    def config(self):
        return {"redis": "cache", "list": self.name}

    def send(self, messages):
        self.world.redis.send_list(self.name, messages)

    def backlog(self):
        return self.world.redis.list_backlog(self.name)


class RedisChannelSource(Source):
    headers = False
    at_least_once = False

    def config(self):
        return {"redis": "cache", "channel": self.name}

    def send(self, messages):
        self.world.redis.send_channel(self.name, messages)

    def backlog(self):
        return 0


class RedisPatternSource(RedisChannelSource):
    def config(self):
        return {"redis": "cache", "pattern": f"{self.name}.*"}

    def send(self, messages):
        self.world.redis.send_channel(f"{self.name}.one", messages)


class RabbitQueueSource(Source):
    repeats = False
    null_header = True
    quorum = False

    def prepare(self):
        self.world.rabbit.queue(self.name, quorum=self.quorum)

    def config(self):
        return {"rabbitmq": "rabbit", "queue": self.name}

    def send(self, messages):
        if len(messages) > 300:
            self.world.rabbit.flood(self.name, messages)
        else:
            self.world.rabbit.send(self.name, messages)

    def backlog(self):
        """Exact once ferryd has ended: what it held unacknowledged is then back in the queue."""
        return self.world.rabbit.depth(self.name)


class RabbitQuorumSource(RabbitQueueSource):
    quorum = True
    adds = ("x-delivery-count",)


class KafkaSource(Source):
    null_header = True
    null_payload = True

    def prepare(self):
        self.world.kafka.topic(self.name)

    def config(self):
        return {"kafka": "events", "topic": self.name, "group": f"{self.name}-group"}

    def send(self, messages):
        self.world.kafka.send(self.name, messages)

    def backlog(self):
        return self.world.kafka.backlog(self.name, f"{self.name}-group")


class Sink:
    headers = True  # it holds headers and keys

    def __init__(self, world, name, partitions=4):
        self.world, self.name, self.partitions = world, name, partitions

    def prepare(self):
        pass

    def close(self):
        pass

    def check(self, sent, seen, source):
        """source: what the messages came from. What it does not hold, the sink cannot have."""
        bare = not source.headers
        compare = functools.partial(checker.differences, bare=bare, ignore=source.adds)
        return checker.check(sent, seen, keyed=self.headers, compare=compare)


class RedisStreamSink(Sink):
    def config(self):
        return {"redis": "cache", "stream": self.name}

    def read(self):
        return self.world.redis.read_stream(self.name)

    def count(self):
        return self.world.redis.xlen(self.name)


class RedisListSink(Sink):
    headers = False

    def config(self):
        return {"redis": "cache", "list": self.name}

    def read(self):
        return self.world.redis.read_list(self.name)

    def count(self):
        return self.world.redis.llen(self.name)


class RedisChannelSink(Sink):
    headers = False

    def prepare(self):
        self.listener = Listener(self.world.redis_url, self.name)

    def config(self):
        return {"redis": "cache", "channel": self.name}

    def read(self):
        return list(self.listener.heard[self.name])

    def close(self):
        self.listener.close()


class RabbitQueueSink(Sink):
    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.taken = []

    def prepare(self):
        self.world.rabbit.queue(self.name)

    def config(self):
        return {"rabbitmq": "rabbit", "queue": self.name}

    def read(self):
        """What was taken before is remembered: reading again finds what came since, too."""
        self.taken += self.world.rabbit.take(self.name)
        return self.taken

    def count(self):
        return len(self.taken) + self.world.rabbit.depth(self.name)


class RabbitExchangeSink(RabbitQueueSink):
    def prepare(self):
        self.world.rabbit.exchange(self.name, "topic")
        self.world.rabbit.queue(self.name, bind=[(self.name, "key.#")])

    def config(self):
        return {"rabbitmq": "rabbit", "exchange": self.name, "routing_key": "key.{{ key | default: none }}"}


class KafkaSink(Sink):
    def prepare(self):
        self.world.kafka.topic(self.name, partitions=self.partitions)

    def config(self):
        return {"kafka": "events", "topic": self.name}

    def read(self):
        return self.world.kafka.read(self.name)[self.name]

    def count(self):
        return self.world.kafka.count(self.name)


SOURCES = {"stream": RedisStreamSource, "list": RedisListSource, "channel": RedisChannelSource,
           "pattern": RedisPatternSource, "classic": RabbitQueueSource, "quorum": RabbitQuorumSource,
           "kafka": KafkaSource}
SINKS = {"stream": RedisStreamSink, "list": RedisListSink, "channel": RedisChannelSink,
         "exchange": RabbitExchangeSink, "queue": RabbitQueueSink, "kafka": KafkaSink}
AT_LEAST_ONCE = [name for name, s in SOURCES.items() if s.at_least_once]


def make_sink(kind, world, name, source):
    """Messages of a source without keys go to any partition: only one partition shows their order."""
    return SINKS[kind](world, name, partitions=4 if source.headers else 1)


def key_from_header(config):
    """RabbitMQ has no key of its own: producers that are not ferryd put it into a header."""
    return {**config, "key": '{{ header("%s") }}' % KEY}
