"""Kafka by confluent-kafka: what producers send, what consumers find, what is left."""
import ctypes
import time

from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from support.message import Seen

PARTITIONS = 4


class Kafka:
    def __init__(self, bootstrap):
        self.bootstrap = bootstrap
        self.admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
        self.producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True, "linger.ms": 5,
                                  "message.max.bytes": 16 << 20, "queue.buffering.max.messages": 1000000,
                                  "log_level": 0})
        # With their numbers of partitions: this version's list_topics() loses references to None until python aborts.
        self.topics = {}

    def topic(self, *names, partitions=PARTITIONS, config=None):
        made = self.admin.create_topics([NewTopic(n, partitions, 1, config=config or {}) for n in names])
        for future in made.values():
            future.result(30)
        self.topics.update(dict.fromkeys(names, partitions))
        return names[0]

    def delete(self, *names):
        for future in self.admin.delete_topics(list(names), operation_timeout=10).values():
            future.exception(30)
        for n in names:
            self.topics.pop(n, None)

    def set_topic(self, name, **config):
        from confluent_kafka.admin import ConfigResource
        resource = ConfigResource("topic", name, set_config={k.replace("_", "."): v for k, v in config.items()})
        for future in self.admin.alter_configs([resource]).values():
            future.result(30)

    def close(self):
        if self.topics:
            try:
                self.delete(*self.topics)
            except Exception:  # a broker that a test left dead has reported itself already
                pass

    def send(self, topic, messages, partition=None):
        """All of them acknowledged when it returns."""
        failed = []

        def report(error, _):
            if error:
                failed.append(error)
        where = {} if partition is None else {"partition": partition}
        for m in messages:
            while True:
                try:
                    self.producer.produce(topic, m.payload, None if m.key is None else m.key.encode(),
                                          headers=list(m.headers), on_delivery=report, **where)
                    break
                except BufferError:
                    self.producer.poll(0.1)
            self.producer.poll(0)
        left = self.producer.flush(60)
        assert not left and not failed, f"{topic}: {left} not acknowledged, errors {failed[:3]}"

    def ends(self, *topics, timeout=20):
        """{(topic, partition): (first, next)}"""
        consumer = self._consumer("ferry-test-looks")
        try:
            return {(t, p): consumer.get_watermark_offsets(TopicPartition(t, p), timeout=timeout)
                    for t in topics for p in range(self.topics[t])}
        finally:
            consumer.close()

    def read(self, *topics, timeout=30):
        """Everything that the topics hold now: {topic: Seens}, in the order of each partition."""
        ends = {tp: high for tp, (low, high) in self.ends(*topics).items() if high > low}
        seen = {t: [] for t in topics}
        if not ends:
            return seen
        consumer = self._consumer("ferry-test-reads")
        consumer.assign([TopicPartition(t, p, 0) for t, p in ends])
        until = time.monotonic() + timeout
        while ends:
            assert time.monotonic() < until, f"not read within {timeout} s: {ends}"
            for record in consumer.consume(1000, 0.2):
                place = record.topic(), record.partition()
                if record.error():
                    # Transaction markers are no records: the end is then an event, not an offset.
                    if record.error().code() == KafkaError._PARTITION_EOF:
                        ends.pop(place, None)
                    continue
                seen[record.topic()].append(seen_of(record))
                if record.offset() + 1 >= ends.get(place, 0):
                    ends.pop(place, None)
        consumer.close()
        return seen

    def count(self, topic):
        return sum(high - low for low, high in self.ends(topic).values())

    def backlog(self, topic, group):
        """Records that the group has not committed yet."""
        consumer = self._consumer(group)
        try:
            ends = self.ends(topic)
            committed = consumer.committed([TopicPartition(t, p) for t, p in ends], timeout=20)
            return sum(max(0, ends[c.topic, c.partition][1] - max(c.offset, 0)) for c in committed)
        finally:
            consumer.close()

    def _consumer(self, group):
        return Consumer({"bootstrap.servers": self.bootstrap, "group.id": group, "enable.auto.commit": False,
                         "auto.offset.reset": "earliest", "enable.partition.eof": True, "log_level": 0,
                         "isolation.level": "read_committed"})


def seen_of(record):
    """Kafka holds keys, headers and missing payloads as they are."""
    headers = tuple((name, value) for name, value in record.headers() or () if name != "ferry.types")
    for name, value in headers:
        if value is None:
            # This version of confluent-kafka hands out None without counting the reference; python aborts at the last.
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(None))
    return Seen(record.value(), record.key(), headers,
                f"in topic {record.topic()}-{record.partition()} at {record.offset()}")
