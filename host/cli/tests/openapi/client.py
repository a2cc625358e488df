"""The client that a generator has made of the document does the main job: a stream, a rule, events, their verdicts, a
plugin."""

import io
import json
import os
import sys

import fastavro
import httpx

sys.path.insert(0, os.environ["CLIENT_FOLDER"])

from assay_client import AuthenticatedClient
from assay_client.api.entities import entity_verdicts
from assay_client.api.events import explain_event, post_events
from assay_client.api.plugins import list_plugins, post_plugin
from assay_client.api.rules import get_rule, list_rules, put_rule
from assay_client.api.streams import put_stream
from assay_client.models import PostEventsJsonBody, Problem, PutRuleJsonBody, PutStreamJsonBody
from assay_client.models.post_events_wait import PostEventsWait
from assay_client.types import File

SCHEMA = {
    "type": "record",
    "name": "Trip",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "driver", "type": "string"},
        {"name": "km", "type": "double"},
        {"name": "time", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    ],
}


def main():
    client = AuthenticatedClient(base_url=os.environ["ASSAY_URL"], token=os.environ["ASSAY_KEY"], raise_on_unexpected_status=True)
    stream = PutStreamJsonBody.from_dict({"stream": "trips", "key": "driver", "time": "time", "id": "id", "schema": SCHEMA})
    made = put_stream.sync("trips", client=client, body=stream)
    assert (made.changed, made.revision) == (True, 1), made
    rule = PutRuleJsonBody.from_dict({"rule": "far", "stream": "trips", "score": "km / 100.0", "tags": {"far": "score >= 0.5"}})
    assert put_rule.sync("far", client=client, body=rule).kind == "rule"
    assert get_rule.sync("far", client=client).definition["score"] == "km / 100.0"
    assert [item.name for item in list_rules.sync(client=client, stream="trips").items] == ["far"]

    trips = [{"id": f"t{i}", "driver": "ann", "km": 10.0 * i, "time": 1000 + i} for i in range(10)]
    lines = File(payload=io.BytesIO("".join(json.dumps(trip) + "\n" for trip in trips).encode()))
    answer = post_events.sync("trips", client=client, body=lines, wait=PostEventsWait.VERDICTS)
    assert (answer.accepted, answer.rejected) == (10, 0), answer
    said = [(result.id, result.verdicts[0].score, result.verdicts[0].tags) for result in answer.results]
    assert said == [(f"t{i}", i / 10, ["far"] if i >= 5 else []) for i in range(10)], said

    one = PostEventsJsonBody.from_dict({"id": "one", "driver": "bob", "km": 70.0, "time": 1000})
    assert post_events.sync("trips", client=client, body=one, wait=PostEventsWait.VERDICTS).results[0].verdicts[0].score == 0.7
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(SCHEMA), [{"id": "a1", "driver": "cid", "km": 5.0, "time": 1}])
    avro = post_events.sync("trips", client=client, body=File(payload=io.BytesIO(file.getvalue())))
    assert (avro.accepted, avro.rejected) == (1, 0), avro
    refused = post_plugin.sync(client=client, body=File(payload=io.BytesIO(b"not wasm")))
    assert isinstance(refused, Problem) and refused.type_ == "urn:assay:invalid-plugin", refused
    plugin(client)

    history = entity_verdicts.sync("trips", "ann", client=client)
    assert {item.id for item in history.items} <= {trip["id"] for trip in trips}, history
    explained = explain_event.sync("trips", "t7", client=client)
    assert explained.events[0].event["km"] == 70.0, explained
    missing = explain_event.sync("trips", "nothing", client=client)
    assert isinstance(missing, Problem) and missing.type_ == "urn:assay:not-found", missing
    files(client)


def plugin(client):
    """A real plugin: uploaded, listed, used by a rule, and asked of an event."""
    with open(os.environ["PLUGIN"], "rb") as wasm:
        uploaded = post_plugin.sync(client=client, body=File(payload=wasm))
    assert uploaded.name == "threshold-tagger", uploaded
    assert [item.name for item in list_plugins.sync(client=client).items] == ["threshold-tagger"]
    levels = {"a": {"low": 10.0, "medium": 50.0, "high": 90.0}}
    rule = {"rule": "levels", "stream": "trips", "plugin": f"threshold-tagger@{uploaded.version}", "inputs": {"a": "km"}, "config": levels}
    assert put_rule.sync("levels", client=client, body=PutRuleJsonBody.from_dict(rule)).changed is True
    trip = PostEventsJsonBody.from_dict({"id": "long", "driver": "dan", "km": 95.0, "time": 2000})
    said = post_events.sync("trips", client=client, body=trip, wait=PostEventsWait.VERDICTS).results[0].verdicts
    by_rule = {verdict.rule: (verdict.score, sorted(verdict.tags)) for verdict in said}
    assert by_rule["levels"] == (1.0, ["a-high", "high"]), by_rule


def files(client):
    """Avro files of another library, with each codec."""
    for number, codec in enumerate(["null", "deflate", "snappy", "zstandard"]):
        trips = [{"id": f"{codec}-{i}", "driver": codec, "km": 1.0, "time": i} for i in range(1000)]
        file = io.BytesIO()
        fastavro.writer(file, fastavro.parse_schema(SCHEMA), trips, codec=codec, sync_interval=2000)
        sent = httpx.post(
            f"{os.environ['ASSAY_URL']}/v1/streams/trips/events?wait=verdicts",
            headers={"Authorization": f"Bearer {os.environ['ASSAY_KEY']}", "Content-Type": "application/avro"},
            content=file.getvalue(),
        )
        assert sent.status_code == 200, sent.text
        answer = sent.json()
        assert (answer["accepted"], answer["rejected"]) == (1000, 0), answer
        scores = {verdict["rule"]: verdict["score"] for verdict in answer["results"][999]["verdicts"]}
        assert scores["far"] == 0.01, answer["results"][999]


main()
