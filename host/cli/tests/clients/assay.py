"""Assay over HTTP, as far as this test needs it. What it says is what all other clients are compared with."""

from urllib.parse import quote

import requests

import setting

URL = setting.variable("ASSAY_URL")
session = requests.Session()
session.headers["Authorization"] = f"Bearer {setting.variable('ASSAY_KEY')}"


def ask(method, path, **more):
    answer = session.request(method, URL + path, timeout=60, **more)
    assert answer.status_code in (200, 201, 202), f"{method} {path}: {answer.status_code} {answer.text}"
    return answer.json()


def get(path, **params):
    return ask("GET", path, params=params)


def items(path, **params):
    """All items of a list, over all its pages; none where nothing is known yet of the entity or the node."""
    params["limit"] = 1000
    while True:
        answer = session.get(URL + path, params=params, timeout=60)
        if answer.status_code == 404 and answer.json()["type"] == "urn:assay:entity-not-found":
            return
        assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text}"
        page = answer.json()
        yield from page["items"]
        if page["cursor"] is None:
            return
        params["cursor"] = page["cursor"]


def entity(card):
    return f"/v1/entities/{setting.NAME}/{quote(card, safe='')}"


def graph(node):
    return items(f"/v1/graph/{quote(node, safe='')}")


def place(item):
    return item["place"]["partition"], item["place"]["offset"]


def outcomes(cards):
    """What was said of every event: its partition and offset -> key, id, time and verdicts."""
    return {place(outcome): outcome for card in cards for outcome in items(entity(card) + "/verdicts")}


def events(cards):
    """Every event: its partition and offset -> the event."""
    return {place(item): item["event"] for card in cards for item in items(entity(card) + "/events")}


def verdicts(outcomes):
    """Every verdict: partition, offset and rule -> the verdict."""
    return {(*at, verdict["rule"]): verdict for at, outcome in outcomes.items() for verdict in outcome["verdicts"]}


def dead_letters():
    return list(items("/v1/dead-letters", stream=setting.NAME))
