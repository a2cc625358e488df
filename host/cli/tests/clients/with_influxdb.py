"""influxdb-client: reads scores and raw events by Flux."""

import re

from influxdb_client import InfluxDBClient

import assay
import setting


RANGE = "range(start: 2026-01-01T00:00:00Z, stop: 2026-02-01T00:00:00Z)"


def rows(client, measurement, expected):
    """All points of a measurement, once there are so many; a row has a point's tags and fields."""
    query = f"""
        from(bucket: "{setting.NAME}")
          |> {RANGE}
          |> filter(fn: (r) => r._measurement == "{measurement}")
          |> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")
    """

    def attempt():
        tables = client.query_api().query(query)
        found = [record.values for table in tables for record in table.records]
        return found if len(found) >= expected else None

    return setting.until(f"{expected} points of {measurement}", attempt)


def check(stored, said):
    """One point per verdict with score or tags, and one per event, with the values that HTTP says."""
    expected = {}
    for (partition, offset, rule), verdict in assay.verdicts(said).items():
        outcome = said[(partition, offset)]
        if verdict["score"] is None and not verdict["tags"]:
            continue
        tags = ",".join(verdict["tags"]) or None
        time = outcome["time"]
        expected[(rule, outcome["id"])] = (str(partition), outcome["key"], verdict["score"], tags, time, "active")
    with InfluxDBClient(url=setting.INFLUXDB, token=setting.INFLUXDB_TOKEN, org="assay") as client:
        points = rows(client, "score", len(expected))
        found = {(it["rule"], it["event"]): point(it) for it in points}
        assert len(found) == len(points), "a verdict has several points"
        setting.same("points of scores", expected, found)

        events = {
            payment["id"]: (payment["card"], payment["amount"], payment["channel"], str(partition), payment["time"])
            for (partition, _), payment in stored.items()
        }
        points = rows(client, setting.NAME, len(events))
        found = {it["id"]: event(it) for it in points}
        assert len(found) == len(points), "an event has several points"
        setting.same("points of events", events, found)
        check_docs(client)


def event(it):
    return it["card"], it["amount"], it["channel"], it["partition"], setting.millis(it["_time"])


def point(it):
    # The time's rest of a millisecond is the offset's: it keeps events of the same time apart.
    return it["partition"], it["key"], it.get("score"), it.get("tags"), setting.millis(it["_time"]), it["mode"]


def check_docs(client):
    """The examples of the documentation find something."""
    for example in setting.snippets("influxdb.md", "flux"):
        query = example.replace('"assay"', f'"{setting.NAME}"').replace("card-velocity", "card_velocity")
        if '"assay_' not in query:
            # The events are of January; the server's own metrics are of now.
            query = re.sub(r"range\(start: [^)]*\)", RANGE, query)
        found = lambda: any(table.records for table in client.query_api().query(query))
        setting.until(f"this finds something:\n{query}", found)
    names = {"http://localhost:8086": setting.INFLUXDB, '"assay") |> range(start: -1h)': f'"{setting.NAME}") |> {RANGE}'}
    ran = setting.run_example("influxdb.md", 0, names | {"card-velocity": "card_velocity"}, TOKEN=setting.INFLUXDB_TOKEN)
    assert ran["record"]["key"].startswith(setting.NAME), ran["record"]
