"""A client of librdkafka, for tests beside the other clients. It speaks in lines of JSON.

  librdkafka.py SERVERS member GROUP PROTOCOL TOPIC...   reads as a member of a group, and prints the value of each
                                                         record before it is committed; SIGTERM makes it leave
  librdkafka.py SERVERS read TOPIC...                    prints all records that the topics have now
  librdkafka.py SERVERS produce                          writes the records that are on standard input, one a line

A record is an object of topic, partition, offset, key, value and headers. Its bytes are text with a character for each.
"""
import json
import signal
import sys

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

# A call that takes longer than these seconds has failed.
PATIENCE = 30
BY_PROTOCOL = {
    # Nobody takes a member for dead so soon that it would look as if it had left.
    "classic": {"partition.assignment.strategy": "range", "session.timeout.ms": 180_000},
    # Here the broker says how soon.
    "consumer": {"group.protocol": "consumer", "group.remote.assignor": "range"},
}


def text(data):
    return None if data is None else data.decode("latin-1")


def told(record):
    headers = {name: text(value) for name, value in record.headers() or []}
    key, value = text(record.key()), text(record.value())
    place = {"topic": record.topic(), "partition": record.partition(), "offset": record.offset()}
    return json.dumps({**place, "key": key, "value": value, "headers": headers})


def consumer(servers, group, settings):
    common = {"bootstrap.servers": servers, "client.id": "librdkafka", "group.id": group}
    return Consumer({**common, "auto.offset.reset": "earliest", "enable.auto.commit": False, **settings})


def checked(record):
    if record.error():
        raise KafkaException(record.error())
    return record


def commit(client, record):
    """A group that is being rearranged may refuse it for a moment."""
    for tries_left in reversed(range(20)):
        try:
            return client.commit(message=record, asynchronous=False)
        except KafkaException:
            if not tries_left:
                raise
            client.poll(0)


def member(servers, group, protocol, *topics):
    left = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: left.append(True))
    client = consumer(servers, group, BY_PROTOCOL[protocol])
    client.subscribe(list(topics))
    while not left:
        record = client.poll(0.1)
        if record is not None:
            print(checked(record).value().decode(), flush=True)
            commit(client, record)
    client.close()


def read(servers, *topics):
    client = consumer(servers, "reads-without-a-group", {})
    for topic in topics:
        partitions = client.list_topics(topic, PATIENCE).topics[topic].partitions
        for partition in sorted(partitions):
            place = TopicPartition(topic, partition, OFFSET_BEGINNING)
            first, end = client.get_watermark_offsets(place, PATIENCE)
            client.assign([place])
            for _ in range(first, end):
                record = client.poll(PATIENCE)
                if record is None:
                    raise TimeoutError(f"{topic} {partition} ends before {end}")
                print(told(checked(record)))
    client.close()


def produce(servers):
    def placed(error, record):
        if error:
            raise KafkaException(error)
        print(told(record))

    # As the Java client chooses the partition of a key.
    client = Producer({"bootstrap.servers": servers, "partitioner": "murmur2_random"})
    for line in sys.stdin:
        record = json.loads(line)
        key, value = (text and text.encode("latin-1") for text in (record["key"], record["value"]))
        client.produce(record["topic"], key=key, value=value, on_delivery=placed)
    if client.flush(PATIENCE):
        raise TimeoutError("not all records were taken")


if __name__ == "__main__":
    {"member": member, "read": read, "produce": produce}[sys.argv[2]](sys.argv[1], *sys.argv[3:])
