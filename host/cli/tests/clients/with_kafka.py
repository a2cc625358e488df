"""confluent-kafka: produces by Assay's own schema registry, and reads the topics that Assay writes."""

import json
import math

from confluent_kafka import Consumer, Producer, SerializingProducer, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext, StringSerializer

import assay
import payments
import setting

# An id that the registry has not given.
UNKNOWN_ID = 999_999
CLUSTER = {"bootstrap.servers": setting.KAFKA}
PRODUCER = {**CLUSTER, "partitioner": "murmur2_random"}


def registry(role):
    """The schema registry for somebody with a key of their own: the password is the key's secret."""
    name = f"clients-{role}"
    secret = assay.ask("POST", "/v1/keys", json={"name": name, "roles": [role]})["key"]
    return SchemaRegistryClient({"url": assay.URL + "/registry", "basic.auth.user.info": f"{name}:{secret}"})


def delivered(producer, messages, send):
    """Sends all; where each one is, in the order of sending."""
    places = [None] * len(messages)

    def acked(number):
        def note(error, message):
            assert error is None, f"message {number}: {error}"
            places[number] = (message.partition(), message.offset())

        return note

    for number, message in enumerate(messages):
        send(producer, message, acked(number))
        producer.poll(0)
    assert producer.flush(setting.PATIENCE) == 0, "not all messages were acknowledged"
    return places


def produce():
    """1,000 payments by the stream's schema, 100 by a newer one, and two that nobody can read.

    Returns where the payments are, as the stream sees them, and where the other two are."""
    schema = assay.get(f"/v1/streams/{setting.NAME}")["definition"]["schema"]
    client = registry("ingest")

    def serializing(schema):
        serializer = AvroSerializer(client, json.dumps(schema))
        return SerializingProducer(
            {**PRODUCER, "key.serializer": StringSerializer("utf_8"), "value.serializer": serializer}
        )

    def send(producer, payment, note):
        producer.produce(setting.NAME, key=payment["card"], value=payment, on_delivery=note)

    first = list(payments.make(0, 1000))
    stored = dict(zip(delivered(serializing(schema), first, send), first))
    later = [payments.newer(payment) for payment in payments.make(1000, 100)]
    newer = serializing(payments.newer_schema(schema))
    places = delivered(newer, [written for written, _ in later], send)
    stored.update(zip(places, [read for _, read in later]))
    assert len(stored) == 1100

    versions = client.get_versions(f"{setting.NAME}-value")
    assert versions == [1, 2], f"the registry has the versions {versions}"
    context = SerializationContext(setting.NAME, MessageField.VALUE)
    whole = AvroSerializer(client, json.dumps(schema))(next(payments.make(2000, 1)), context)
    unreadable = [whole[:1] + UNKNOWN_ID.to_bytes(4, "big") + whole[5:], whole[: len(whole) // 2]]
    places = delivered(
        Producer(PRODUCER),
        unreadable,
        lambda producer, value, note: producer.produce(setting.NAME, key=b"somebody", value=value, on_delivery=note),
    )
    return stored, dict(zip(places, ["schema-unknown", "event-malformed"]))


def check_scores(stored, said):
    """Every payment was scored, where the broker says it is, and as it should be."""
    ordered = sorted(stored.values(), key=lambda payment: payment["time"])
    expected = payments.velocity(ordered)
    found = {outcome["id"]: outcome for outcome in said.values()}
    for at, payment in stored.items():
        outcome = said[at]
        assert (outcome["id"], outcome["key"]) == (payment["id"], payment["card"]), f"{at}: {outcome}"
    for id, score in expected.items():
        verdict = next(it for it in found[id]["verdicts"] if it["rule"] == "card_velocity")
        assert math.isclose(verdict["score"], score, rel_tol=1e-9), f"{id}: expected {score}, got {verdict}"
    setting.same("the payments as they are archived", stored, assay.events(payments.CARDS))


def check_dead_letters(unreadable):
    letters = setting.until(
        "the two dead letters", lambda: len(letters := assay.dead_letters()) >= len(unreadable) and letters
    )
    found = {assay.place(letter): letter["code"] for letter in letters}
    setting.same("dead letters", unreadable, found)
    messages = {letter["code"]: letter["message"] for letter in letters}
    assert str(UNKNOWN_ID) in messages["schema-unknown"], messages
    assert "ends" in messages["event-malformed"], messages


def read_topic(topic, count):
    """So many messages of a topic, from its beginning; there must not be more."""
    consumer = Consumer({**CLUSTER, "group.id": topic, "enable.auto.commit": False})
    try:
        # The topic is made when there is something to publish.
        partitions = setting.until(
            f"the topic {topic}", lambda: consumer.list_topics(topic, timeout=30).topics[topic].partitions or None
        )
        consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
        messages = []

        def more():
            for message in consumer.consume(1000, timeout=0.5):
                assert message.error() is None, message.error()
                messages.append(message)
            return len(messages) >= count

        setting.until(lambda: f"{count} messages in {topic}, of which {len(messages)} came", more)
        latest = {TopicPartition(topic, number): OffsetSpec.latest() for number in partitions}
        # Without a name of its own the client is gone before it is answered.
        admin = AdminClient(CLUSTER)
        ends = [end.result(30).offset for end in admin.list_offsets(latest).values()]
        assert sum(ends) == count, f"{topic} has {sum(ends)} messages, not {count}"
        return messages
    finally:
        consumer.close()


def headers(message):
    return {name: value.decode() for name, value in message.headers() or []}


def check_topics(said, unreadable):
    """The topics of verdicts and of dead letters have what HTTP says, each once."""
    deserialize = AvroDeserializer(registry("read"))
    expected = {
        at: (said[at[:2]]["key"], verdict["score"], verdict["tags"], verdict["revision"], verdict["inputs"])
        for at, verdict in assay.verdicts(said).items()
    }
    topic = f"{setting.NAME}.verdicts"
    found = {}
    for message in read_topic(topic, len(expected)):
        verdict = deserialize(message.value(), SerializationContext(topic, MessageField.VALUE))
        at = (verdict["partition"], verdict["offset"], verdict["rule"])
        assert message.partition() == verdict["partition"] and int(headers(message)["assay-offset"]) == at[1]
        about = (verdict["score"], verdict["tags"], verdict["revision"], verdict["inputs"])
        found[at] = (message.key().decode(), *about)
    setting.same(f"the topic {topic}", expected, found)

    topic = f"{setting.NAME}.dead-letters"
    found = {}
    for message in read_topic(topic, len(unreadable)):
        letter = json.loads(message.value())
        about = headers(message)
        found[(letter["partition"], letter["offset"])] = about["assay-code"]
        assert (message.partition(), int(about["assay-offset"])) == (letter["partition"], letter["offset"]), letter
        assert (letter["code"], letter["message"]) == (about["assay-code"], about["assay-message"]), letter
    setting.same(f"the topic {topic}", unreadable, found)


def run_producer_of_docs():
    names = {"127.0.0.1:9092": setting.KAFKA, "card-17": payments.CARDS[0]}
    names |= {"/streams/payments": f"/streams/{setting.NAME}", '"payments"': f'"{setting.NAME}"'}
    setting.run_example("kafka.md", 0, names)


def run_consumer_of_docs():
    names = {"127.0.0.1:9092": setting.KAFKA, "payments-risk": f"{setting.NAME}-risk"}
    names |= {'"payments.verdicts"': f'"{setting.NAME}.verdicts"'}
    assert setting.run_example("kafka.md", 1, names)["found"] == 10
