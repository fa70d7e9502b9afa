"""The brokers' ends: sources that are filled, sinks that are counted. One object a broker.

    fill(n)              the source holds n messages
    begin(run)           an empty sink, a new position at the source
    begin_source()       where a source is emptied by reading: fills it again
    source(), sink()     as ferryd's configuration has them;  floor_source(), floor_sink() as tests/bench/floor.c
    count()              how many the sink has
    left()               how many the source still holds for the group that read last
"""
import os
import pathlib
import subprocess
import time

import confluent_kafka
import confluent_kafka.admin
import pika
import redis

ROOT = pathlib.Path(__file__).resolve().parents[3]
SIZE, KEYS = 256, 10000


class Brokers:
    """A set of brokers for the benchmark alone, on ports of its own; FERRY_PORT_OFFSET may choose others."""

    def __init__(self):
        self.env = {"FERRY_PORT_OFFSET": "400", "FERRY_REDIS_FSYNC": "everysec", **os.environ}
        self.script = str(ROOT / "scripts" / "brokers")
        for line in self.run("env").splitlines():
            for word in line.removeprefix("export ").split():
                name, _, value = word.partition("=")
                self.env[name] = value.strip("'")

    def run(self, *args):
        return subprocess.run([self.script, *args], env=self.env, check=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, text=True).stdout

    def running(self, name):
        return subprocess.run([self.script, "status", name], env=self.env, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    def pid(self, name):
        return int(self.run("pid", name))


def until(what, done, seconds=30, pause=0.02):
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise RuntimeError(f"{what} did not happen within {seconds} s")
        time.sleep(pause)


class Redis:
    name, process = "redis", "redis"
    interval = 0.01
    has_keys = True

    def __init__(self, brokers, floor, options):
        self.port = int(brokers.env["FERRY_REDIS_PORT"])
        self.connection = f"redis://127.0.0.1:{self.port}/0"
        self.floor = floor
        self.client = redis.Redis(port=self.port)
        # A rewrite of the log in the middle of a run would be measured as if it were the route's.
        self.client.config_set("auto-aof-rewrite-percentage", 0)
        self.run = 0

    def fill(self, n):
        if self.client.xlen("bsrc") != n:
            self.client.delete("bsrc")
            self.floor("-n", n, "-k", KEYS, "-s", SIZE, "generate", f"redis:127.0.0.1:{self.port}:bsrc")

    def begin(self, run):
        self.run = run

    def begin_source(self):
        pass

    def source(self):
        return {"redis": "redis", "stream": "bsrc", "group": f"g{self.run}"}

    def sink(self):
        return {"redis": "redis", "stream": f"bdst{self.run}"}

    def floor_source(self):
        return f"redis:127.0.0.1:{self.port}:bsrc"

    def floor_sink(self):
        return f"redis:127.0.0.1:{self.port}:bdst{self.run}"

    def count(self):
        return self.client.xlen(f"bdst{self.run}")

    def left(self):
        for group in self.client.xinfo_groups("bsrc"):
            if group["name"].decode() == f"g{self.run}":
                return group["pending"] + (group.get("lag") or 0)
        return None

    def end(self):
        self.client.delete(f"bdst{self.run}")
        if self.client.exists("bsrc"):
            for group in self.client.xinfo_groups("bsrc"):
                self.client.xgroup_destroy("bsrc", group["name"])
        # The log of what is no longer there would fill the disk.
        self.client.bgrewriteaof()
        until("the rewrite of Redis' log", lambda: not self.rewriting())

    def rewriting(self):
        info = self.client.info("persistence")
        return info["aof_rewrite_in_progress"] or info["aof_rewrite_scheduled"]

    def stray(self):
        """Another stream, for delays."""
        self.client.delete("bdelay")
        return {"redis": "redis", "stream": "bdelay", "group": "g"}, f"redis:127.0.0.1:{self.port}:bdelay"


class Kafka:
    name, process = "kafka", "kafka"
    interval = 0.02
    has_keys = True

    def __init__(self, brokers, floor, options):
        self.bootstrap = brokers.env["FERRY_KAFKA_BOOTSTRAP"]
        self.connection = f"kafka://{self.bootstrap}"
        self.floor = floor
        settings = {"bootstrap.servers": self.bootstrap, "log_level": 3}
        self.admin = confluent_kafka.admin.AdminClient(settings)
        self.settings = {**settings, "group.id": "bench-counts", "enable.auto.commit": False}
        self.consumer = confluent_kafka.Consumer(self.settings)
        self.filled = {}
        self.run = 0

    def create(self, topic):
        new = confluent_kafka.admin.NewTopic(topic, num_partitions=4, replication_factor=1)
        for done in self.admin.create_topics([new]).values():
            done.result()
        until(f"topic {topic}", lambda: self.has_leaders(topic))

    def has_leaders(self, topic):
        """list_topics refreshes what the consumer believes about leaders too."""
        try:
            self.consumer.list_topics(topic, timeout=5)
            return self.ends(topic) == [0] * 4
        except confluent_kafka.KafkaException:
            return False

    def ends(self, topic):
        ends = [self.consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, p), 5) for p in range(4)]
        return [high for _, high in ends]

    def topic(self):
        return f"bsrc{self.n}"

    def fill(self, n):
        self.n = n
        if self.filled.get(n):
            return
        self.filled[n] = self.topic()
        if self.topic() in self.consumer.list_topics().topics:
            self.admin.delete_topics([self.topic()])
            until("deleting", lambda: self.topic() not in self.consumer.list_topics().topics)
        self.create(self.topic())
        self.floor("-n", n, "-k", KEYS, "-s", SIZE, "generate", self.floor_source())

    def begin(self, run):
        self.run = run
        self.create(f"bdst{run}")

    def begin_source(self):
        pass

    def source(self):
        return {"kafka": "kafka", "topic": self.topic(), "group": f"g{self.run}"}

    def sink(self):
        return {"kafka": "kafka", "topic": f"bdst{self.run}"}

    def floor_source(self):
        return f"kafka:{self.bootstrap}:{self.topic()}"

    def floor_sink(self):
        return f"kafka:{self.bootstrap}:bdst{self.run}"

    def count(self):
        return sum(self.ends(f"bdst{self.run}"))

    def left(self):
        group = confluent_kafka.Consumer({**self.settings, "group.id": f"g{self.run}"})
        try:
            committed = group.committed([confluent_kafka.TopicPartition(self.topic(), p) for p in range(4)], timeout=5)
        finally:
            group.close()
        return sum(self.ends(self.topic())) - sum(max(0, p.offset) for p in committed)

    def end(self):
        self.admin.delete_topics([f"bdst{self.run}"])

    def stray(self):
        topic = f"bdelay{time.monotonic_ns()}"
        self.create(topic)
        return {"kafka": "kafka", "topic": topic, "group": "g" + topic}, f"kafka:{self.bootstrap}:{topic}"


class Rabbit:
    name, process = "rabbit", "rabbitmq"
    interval = 0.05
    has_keys = False

    def __init__(self, brokers, floor, options):
        self.port = int(brokers.env["FERRY_RABBIT_PORT"])
        self.connection = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        self.floor = floor
        self.arguments = {"x-queue-type": options.queue}
        self.channel = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port, heartbeat=0)).channel()
        self.n = 0

    def ready(self, queue):
        return self.channel.queue_declare(queue, passive=True).method.message_count

    def fill(self, n):
        self.n = n

    def begin(self, run):
        for queue in ("bsrc", "bdst"):
            self.channel.queue_delete(queue)
            self.channel.queue_declare(queue, durable=True, arguments=self.arguments)

    def begin_source(self):
        self.floor("-n", self.n, "-s", SIZE, "generate", self.floor_source())
        until("filling", lambda: self.ready("bsrc") == self.n)

    def source(self):
        return {"rabbitmq": "rabbit", "queue": "bsrc"}

    def sink(self):
        return {"rabbitmq": "rabbit", "queue": "bdst"}

    def floor_source(self):
        return f"rabbit:127.0.0.1:{self.port}:bsrc"

    def floor_sink(self):
        return f"rabbit:127.0.0.1:{self.port}:bdst"

    def count(self):
        return self.ready("bdst")

    def left(self):
        return self.ready("bsrc")

    def end(self):
        for queue in ("bsrc", "bdst"):
            self.channel.queue_delete(queue)


ENDS = {"redis": Redis, "kafka": Kafka, "rabbit": Rabbit}

