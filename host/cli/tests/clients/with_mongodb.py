"""pymongo: submits rules, and reads definitions, commits, profiles and dead letters."""

import math
import re
import time

from pymongo import MongoClient

import assay
import payments
import setting

RULE = "large_amount"
db = MongoClient(setting.MONGODB)[setting.NAME]


def submit(definition):
    submission = {"kind": "rule", "name": RULE, "definition": definition, "author": "ann"}
    return db.submissions.insert_one(submission).inserted_id


def answer(id):
    """What became of a submission."""

    def status():
        status = db.submissions.find_one({"_id": id}).get("status", {})
        return status if status.get("state") in ("applied", "refused") else None

    return setting.until("an answer to the submission", status)


def definition(score):
    return {"rule": RULE, "stream": setting.NAME, "score": score, "tags": {"large": "score >= 0.9"}}


def scored(payment):
    """Sends a payment and returns the rule's verdict on it."""
    path = f"/v1/streams/{setting.NAME}/events?wait=verdicts&timeout=30s"
    result = assay.ask("POST", path, json=payment)["results"][0]
    return next(verdict for verdict in result["verdicts"] if verdict["rule"] == RULE)


def check_submissions():
    """A good rule is applied, a bad one changes nothing and gets its error, and holds once it is corrected."""
    several = list(payments.make(1100, 3))
    first = answer(submit(definition("min(amount / 1000.0, 1.0)")))
    assert (first["state"], first["revision"]) == ("applied", 1), first
    verdict = scored(several[0])
    assert verdict["revision"] == 1 and math.isclose(verdict["score"], several[0]["amount"] / 1000), verdict

    id = submit(definition("amuont / 2000.0"))
    refused = answer(id)
    assert refused["state"] == "refused", refused
    assert any("'amuont'" in error and "'amount'" in error for error in refused["errors"]), refused
    verdict = scored(several[1])
    assert verdict["revision"] == 1 and math.isclose(verdict["score"], several[1]["amount"] / 1000), verdict

    correct = {"$set": {"definition": definition("amount / 2000.0")}, "$unset": {"status": 1}}
    db.submissions.update_one({"_id": id}, correct)
    second = answer(id)
    assert (second["state"], second["revision"]) == ("applied", 2), second
    verdict = scored(several[2])
    assert verdict["revision"] == 2 and math.isclose(verdict["score"], several[2]["amount"] / 2000), verdict


def check_catalog():
    """The readable definitions and the audit are what HTTP says."""
    for kind in ("stream", "view", "rule"):
        expected = {it["name"]: (it["revision"], it["author"]) for it in assay.get(f"/v1/{kind}s")["items"]}

        def found():
            all = db.definitions.find({"kind": kind, "status": "current"})
            return {it["name"]: (it["revision"], it["author"]) for it in all}

        setting.until(f"the definitions of kind {kind}", lambda: found() == expected)
        setting.same(f"the definitions of kind {kind}", expected, found())
    document = db.definitions.find_one({"_id": f"rule/{RULE}"})
    assert document["author"] == "mongodb:ann" and document["body"]["score"] == "amount / 2000.0", document

    versions = [commit["_id"] for commit in db.commits.find({}, {"_id": 1}).sort("_id", 1)]
    assert versions == list(range(1, len(versions) + 1)), versions
    commits = list(db.commits.find({"author": "mongodb:ann"}).sort("_id", 1))
    changed = [(it["name"], it["revision"]) for commit in commits for it in commit["revisions"]]
    assert changed == [(RULE, 1), (RULE, 2)], commits


def latest(verdict):
    return {name: verdict.get(name) for name in ("score", "tags", "offset", "event", "revision", "plugin")}


def check_profiles(said):
    """Each card's document has what HTTP says of the card, and the index serves the highest scores."""
    newest = {}
    for (_, offset), outcome in said.items():
        newest[outcome["key"]] = max(offset, newest.get(outcome["key"], 0))
    expected = {}
    for card, offset in newest.items():

        def rules():
            rules = assay.get(assay.entity(card))["rules"]
            return rules if rules.get("payment_risk", {}).get("offset") == offset else None

        rules = setting.until(f"the profile of {card} with the event at offset {offset}", rules)
        expected[card] = {rule: latest(verdict) for rule, verdict in rules.items()}

    def found():
        documents = db.profiles.find({"stream": setting.NAME})
        return {it["key"]: {rule: latest(verdict) for rule, verdict in it["rules"].items()} for it in documents}

    setting.same("profiles", expected, found())
    rule = "payment_risk"
    highest = assay.get("/v1/scores", rule=rule, limit=20)["items"]
    documents = db.profiles.find({"stream": setting.NAME, f"rules.{rule}.score": {"$gte": 0.0}})
    documents = documents.sort([(f"rules.{rule}.score", -1), ("key", 1)]).limit(20)
    found = [(it["key"], it["rules"][rule]["score"]) for it in documents]
    assert found == [(it["key"], it["score"]) for it in highest], (highest, found)


def check_dead_letters(unreadable):
    found = {(it["partition"], it["offset"]): it["code"] for it in db.dead_letters.find({"stream": setting.NAME})}
    setting.same("dead letters", unreadable, found)


def run_submission_of_docs():
    """A rule that is paused, so that it changes nothing for other checks."""
    rule = {"rule": "of_the_docs", "stream": setting.NAME, "score": "amount", "mode": "paused"}
    names = {"large_amount": rule["rule"], '"ann"': '"docs"'}
    answered = setting.run_example("mongodb.md", 0, names, db=db, definition=rule, time=time)
    assert answered["status"]["state"] == "applied", answered["status"]


def run_queries_of_docs():
    """The queries that mongosh is given: but for names without quotes and comments they are Python, too."""
    found = {}
    for example in setting.snippets("mongodb.md", "js"):
        if "insertOne" in example or "findOne" in example:
            continue
        code = re.sub(r"\s*//.*", "", example)
        code = re.sub(r"([{,]\s*)([$\w]+):", r'\1"\2":', code).replace("\n  .", ".")
        for query in code.strip().splitlines():
            ours = query.replace('"payments"', f'"{setting.NAME}"').replace('"ann"', '"mongodb:ann"')
            found[query] = len(list(eval(ours, {"db": db})))
    # No rule is in shadow here, and nothing is blocked.
    empty = [query for query, count in found.items() if not count and "shadow" not in query and "block" not in query]
    assert len(found) > 5 and not empty, found
