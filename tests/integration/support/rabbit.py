"""RabbitMQ by pika: what producers send, what consumers find, what is left."""
import contextlib
import logging
import time
import urllib.parse

import pika
import pika.exceptions

from support.message import Seen

# A broker that goes away is what these tests are about.
logging.getLogger("pika").setLevel(logging.CRITICAL)
TROUBLE = (pika.exceptions.AMQPError, OSError)


def connect(url, patience=0.0):
    """patience: for so many seconds a broker that is not there is tried again."""
    parameters = pika.URLParameters(url)
    parameters.heartbeat = 0
    parameters.socket_timeout = 5
    until = time.monotonic() + patience
    while True:
        try:
            return pika.BlockingConnection(parameters)
        except TROUBLE:
            if time.monotonic() >= until:
                raise
            time.sleep(0.1)


class Rabbit:
    """One connection, made again when it was lost."""

    def __init__(self, url):
        self.url = url
        self.connection = None
        self.made_queues = set()
        self.made_exchanges = set()

    @contextlib.contextmanager
    def channel(self, confirms=False):
        if self.connection is None or self.connection.is_closed:
            self.connection = connect(self.url, patience=30)
        try:
            channel = self.connection.channel()
        except TROUBLE:
            self.connection = connect(self.url, patience=30)
            channel = self.connection.channel()
        if confirms:
            channel.confirm_delivery()
        try:
            yield channel
        finally:
            if channel.is_open:
                with contextlib.suppress(*TROUBLE):
                    channel.close()

    def close(self):
        with contextlib.suppress(*TROUBLE), self.channel() as channel:
            for q in self.made_queues:
                channel.queue_delete(q)
            for e in self.made_exchanges:
                channel.exchange_delete(e)
        if self.connection is not None and self.connection.is_open:
            with contextlib.suppress(*TROUBLE):
                self.connection.close()

    def queue(self, name, quorum=False, arguments=None, bind=()):
        """bind: (exchange, routing key) or (exchange, routing key, arguments)."""
        with self.channel() as channel:
            channel.queue_declare(name, durable=True, arguments={**({"x-queue-type": "quorum"} if quorum else {}),
                                                                 **(arguments or {})})
            for exchange, key, *rest in bind:
                channel.queue_bind(name, exchange, key, arguments=rest[0] if rest else None)
        self.made_queues.add(name)
        return name

    def exchange(self, name, kind="topic"):
        with self.channel() as channel:
            channel.exchange_declare(name, kind, durable=True)
        self.made_exchanges.add(name)
        return name

    def depth(self, name):
        with self.channel() as channel:
            return channel.queue_declare(name, passive=True).method.message_count

    def send(self, queue, messages, exchange="", properties=None):
        """Persistent, each confirmed."""
        with self.channel(confirms=True) as channel:
            for m in messages:
                channel.basic_publish(exchange, queue, m.payload or b"", properties_of(m, properties), mandatory=True)

    def flood(self, queue, messages, exchange=""):
        """Persistent and confirmed, without waiting for each: what is not confirmed a killed broker may lose."""
        with self.channel() as channel:
            confirmed, refused = 0, []

            def on_confirm(frame):
                nonlocal confirmed
                if isinstance(frame.method, pika.spec.Basic.Nack):
                    refused.append(frame.method)
                confirmed = max(confirmed, frame.method.delivery_tag) if frame.method.multiple else confirmed
                answered.add(frame.method.delivery_tag)
            answered = set()
            # The blocking channel's own confirms wait for each message.
            channel._impl.confirm_delivery(on_confirm)
            for m in messages:
                channel.basic_publish(exchange, queue, m.payload or b"", properties_of(m))
            until = time.monotonic() + 60
            while not all(n <= confirmed or n in answered for n in range(1, len(messages) + 1)):
                assert time.monotonic() < until, f"{queue}: not all of {len(messages)} were confirmed"
                self.connection.process_data_events(0.1)
            assert not refused, f"{queue}: {len(refused)} were refused"

    def take(self, queue, limit=None):
        """Everything that is ready now, in the queue's order, acknowledged."""
        seen = []
        with self.channel() as channel:
            ready = channel.queue_declare(queue, passive=True).method.message_count
            limit = ready if limit is None else min(limit, ready)
            if not limit:
                return seen
            channel.basic_qos(prefetch_count=min(limit, 1000))
            for method, properties, body in channel.consume(queue, inactivity_timeout=5):
                if method is None:
                    break
                seen.append(seen_of(properties, body, f"in queue {queue}"))
                if len(seen) == limit or len(seen) % 500 == 0:
                    channel.basic_ack(method.delivery_tag, multiple=True)
                if len(seen) == limit:
                    break
            channel.cancel()
        return seen


def properties_of(m, more=None):
    """The key has no place in AMQP: ferryd finds it in the header that its own sink writes it to. A table holds a name once."""
    headers = {name: value if value is None else value.decode() for name, value in m.headers}
    if m.key is not None:
        headers["ferry.key"] = m.key
    return pika.BasicProperties(headers=headers, delivery_mode=2, **(more or {}))


def raw(value):
    return value.encode() if isinstance(value, str) else value


def seen_of(properties, body, where=""):
    """Undoes what docs/mapping.md says that ferryd does for RabbitMQ."""
    table = dict(properties.headers or {})
    key = raw(table.pop("ferry.key", None))
    payload = None if table.pop("ferry.null", False) else body
    table.pop("ferry.derived", None)
    return Seen(payload, key, unrepeat(table, table.pop("ferry.repeated", "")), where)


def unrepeat(table, repeated):
    """ferry.repeated, "NAME=POSITION,POSITION;…", says which arrays were repeated headers, and where those stood."""
    placed = {}
    for part in filter(None, repeated.split(";")):
        name, _, positions = part.partition("=")
        values = table.pop(urllib.parse.unquote(name))
        for position, value in zip(map(int, positions.split(",")), values, strict=True):
            placed[position] = (urllib.parse.unquote(name), raw(value))
    rest = ((name, raw(value)) for name, value in table.items())
    return tuple(placed[n] if n in placed else next(rest) for n in range(len(placed) + len(table)))
