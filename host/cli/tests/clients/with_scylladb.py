"""The driver for ScyllaDB and Cassandra: reads events and verdicts by entity and by place, and a view's buckets."""

import io
import json

from cassandra.cluster import Cluster
from fastavro import parse_schema, schemaless_reader

import assay
import payments
import setting

WEEK_MS = 7 * 24 * 60 * 60 * 1000
OFFSETS_PER_BUCKET = 10_000


def check(stored, said, unreadable):
    host, port = setting.CASSANDRA.split(":")
    with Cluster([host], port=int(port)) as cluster:
        session = cluster.connect(setting.NAME)
        check_entities(session, stored, said)
        check_places(session, stored, said, unreadable)
        check_buckets(session)
        run_docs(session, stored)


def check_entities(session, stored, said):
    """An entity's events of a week, newest first, with their bytes, scores and tags."""
    schema = parse_schema(assay.get(f"/v1/streams/{setting.NAME}")["definition"]["schema"])
    of_card = session.prepare(
        "SELECT offset, time, bytes, scores, tags FROM entity_events"
        " WHERE stream = ? AND log_partition = ? AND key = ? AND week = ?"
    )
    week = payments.START // WEEK_MS
    partitions = {payment["card"]: partition for (partition, _), payment in stored.items()}
    found = {}
    for card, partition in partitions.items():
        times = []
        for row in session.execute(of_card, (setting.NAME, partition, card, week)):
            times.append((row.time, row.offset))
            event = schemaless_reader(io.BytesIO(row.bytes), schema)
            event["time"] = setting.millis(event["time"])
            found[(partition, row.offset)] = (event, dict(row.scores or {}), set(row.tags or []))
        assert times == sorted(times, reverse=True), f"{card}: {times}"
    expected = {}
    for at, payment in stored.items():
        verdicts = said[at]["verdicts"]
        scores = {it["rule"]: it["score"] for it in verdicts if it["score"] is not None}
        expected[at] = (payment, scores, {tag for it in verdicts for tag in it["tags"]})
    setting.same("events by entity", expected, found)


def check_places(session, stored, said, unreadable):
    """Events and verdicts of whole buckets of offsets."""
    buckets = {(partition, offset // OFFSETS_PER_BUCKET) for partition, offset in [*stored, *unreadable]}
    events = session.prepare(
        "SELECT offset, key, id, unreadable FROM events WHERE stream = ? AND log_partition = ? AND bucket = ?"
    )
    verdicts = session.prepare(
        "SELECT offset, key, id, rule, revision, mode, score, tags, inputs, failure FROM verdicts"
        " WHERE stream = ? AND log_partition = ? AND bucket = ?"
    )
    found_events, found_verdicts, failures = {}, {}, {}
    for partition, bucket in buckets:
        for row in session.execute(events, (setting.NAME, partition, bucket)):
            found_events[(partition, row.offset)] = (row.key, row.id, row.unreadable is not None)
        for row in session.execute(verdicts, (setting.NAME, partition, bucket)):
            if row.failure is not None:
                failures[(partition, row.offset)] = row.failure
                continue
            inputs = {name: value(kind, text) for name, kind, text in row.inputs or []}
            about = (row.key, row.id, row.revision, row.mode, row.score, list(row.tags or []), inputs)
            found_verdicts[(partition, row.offset, row.rule)] = about
    expected = {at: (payment["card"], payment["id"], False) for at, payment in stored.items()}
    expected |= {at: (None, None, True) for at in unreadable}
    setting.same("events by place", expected, found_events)
    expected = {}
    for at, it in assay.verdicts(said).items():
        outcome = said[at[:2]]
        about = (it["revision"], it["mode"], it["score"], it["tags"], it["inputs"])
        expected[at] = (outcome["key"], outcome["id"], *about)
    setting.same("verdicts by place", expected, found_verdicts)
    setting.same("failures by place", unreadable, failures)


def check_buckets(session):
    """A tumbling view's buckets, newest first, by the documentation's query and by one for all columns."""
    of_card = session.prepare(
        "SELECT bucket, bucket_end, revision, ints, doubles, texts, times, bools FROM view_buckets"
        " WHERE stream = ? AND view_name = 'card_minutes' AND key = ?"
    )
    for card in payments.CARDS:
        buckets = assay.get("/v1/views/card_minutes/buckets", key=card)["buckets"]
        expected = {(bucket["from"], bucket["to"], 1): bucket["measures"] for bucket in buckets}
        found = {}

        def is_same():
            # Rows come with the next checkpoint, about a second after the events were scored.
            found.clear()
            for row in session.execute(of_card, (setting.NAME, card)):
                times = {name: setting.millis(time) for name, time in row.times.items()}
                measures = {**row.ints, **row.doubles, **row.texts, **times, **row.bools}
                found[(setting.millis(row.bucket), setting.millis(row.bucket_end), row.revision)] = measures
            return found == expected

        setting.until(lambda: f"the buckets of {card}: {expected} expected, {found} found", is_same)
        if expected:
            assert sorted(found, reverse=True) == list(found), f"newest first: {list(found)}"
            (query,) = [query for query in setting.snippets("scylladb.md", "sql") if "view_buckets" in query]
            rows = run_query(session, query, {"card_hours": "card_minutes", "card-17": card})
            assert [row.ints["payments"] for row in rows] == [it["payments"] for it in found.values()][:24]


def run_query(session, query, names):
    """A query of the documentation, with the names of this run."""
    names = names | {"assay.": f"{setting.NAME}.", "'payments'": f"'{setting.NAME}'"}
    return list(session.execute(setting.renamed(query, names).strip().rstrip(";")))


def run_docs(session, stored):
    """The documentation's queries of an entity and of an event, and its program."""
    (partition, offset), payment = next(iter(stored.items()))
    card, week = payment["card"], str(payments.START // WEEK_MS)
    entity, event, _ = setting.snippets("scylladb.md", "sql")
    weeks, events = entity.strip().split("\n\n")
    place = {"log_partition = 3": f"log_partition = {partition}"}
    assert [str(row.week) for row in run_query(session, weeks, place | {"card-17": card})] == [week]
    rows = run_query(session, events, place | {"card-17": card, "2843": week})
    assert any(row.offset == offset for row in rows) or len(rows) == 20, rows
    bucket = {"bucket = 12": f"bucket = {offset // OFFSETS_PER_BUCKET}", "123456": str(offset)}
    rows = run_query(session, event, place | bucket)
    assert "payment_risk" in {row.rule for row in rows}, rows

    host, port = setting.CASSANDRA.split(":")
    names = {"http://127.0.0.1:7717/v1/streams/payments": f"{assay.URL}/v1/streams/{setting.NAME}"}
    names |= {'Cluster(["127.0.0.1"]).connect("assay")': f'Cluster(["{host}"], port={port}).connect("{setting.NAME}")'}
    names |= {'("payments", 3, "card-17", 2843)': str((setting.NAME, partition, card, int(week)))}
    ran = setting.run_example("scylladb.md", 0, names)
    ran["session"].cluster.shutdown()
    assert ran["row"].bytes is not None, ran["row"]


def value(kind, text):
    """An input's value as HTTP writes it."""
    if kind == "null":
        return None
    return text if kind == "string" else json.loads(text)
