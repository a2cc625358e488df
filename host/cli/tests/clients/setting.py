"""Where the servers are and what things are called in this run: what the test that starts us says in the environment."""

import os
import re
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from urllib.parse import urlsplit

DOCS = Path(__file__).parents[4] / "docs"
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def variable(name):
    value = os.environ.get(name)
    assert value, f"{name} is not set: run cargo xtask test --servers -- clients"
    return value


KAFKA = variable("ASSAY_TEST_KAFKA")
MONGODB = variable("ASSAY_TEST_MONGODB")
CASSANDRA = variable("ASSAY_TEST_CASSANDRA")
INFLUXDB = variable("ASSAY_TEST_INFLUXDB")
INFLUXDB_TOKEN = variable("ASSAY_TEST_INFLUXDB_TOKEN")
DGRAPH = urlsplit(variable("ASSAY_TEST_DGRAPH"))
# Of an alpha's ports the one for gRPC is a thousand behind the one for HTTP.
DGRAPH_GRPC = f"{DGRAPH.hostname}:{DGRAPH.port + 1000}"

# The stream, its topic, the database, the keyspace and the bucket all have this name. It is new in every run: the
# servers keep what earlier runs have left.
NAME = variable("CLIENTS_NAME")

# How long to wait for what comes within a second or two on an idle machine.
PATIENCE = 90.0


def until(what, attempt, patience=PATIENCE):
    """Asks again until the answer is one (not None and not False), or the patience is over."""
    deadline = time.monotonic() + patience
    while True:
        answer = attempt()
        if answer is not None and answer is not False:
            return answer
        if time.monotonic() >= deadline:
            raise AssertionError(f"waited {patience:.0f} s in vain for {what() if callable(what) else what}")
        time.sleep(0.1)


def millis(at):
    """A time as milliseconds since 1970, as Assay writes it. One without a zone is of UTC."""
    return ((at if at.tzinfo else at.replace(tzinfo=timezone.utc)) - EPOCH) // timedelta(milliseconds=1)


def same(what, expected, found):
    """Two dicts must be equal; if not, says where they differ."""
    missing = [key for key in expected if key not in found]
    added = [key for key in found if key not in expected]
    other = [key for key in expected if key in found and expected[key] != found[key]]
    assert not (missing or added or other), (
        f"{what}: {len(expected)} expected, {len(found)} found; "
        f"missing: {missing[:3]} ({len(missing)}), not expected: {added[:3]} ({len(added)}), different ({len(other)}): "
        + "; ".join(f"{key}: expected {expected[key]!r}, found {found[key]!r}" for key in other[:3])
    )
    assert expected, f"{what}: nothing was expected, so nothing was checked"


def snippets(page, language):
    """The examples in a language that a page of the documentation has."""
    found = re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)
    assert found, f"docs/{page} has no example in {language}"
    return found


def renamed(example, names):
    """An example with names of this run in place of the page's, which must all be there."""
    for name, ours in names.items():
        assert name in example, f"{name} is not in this example:\n{example}"
        example = example.replace(name, ours)
    return example


def run_example(page, number, names, **given):
    """Runs an example in Python of a page; returns what it has defined."""
    example = renamed(snippets(page, "python")[number], names)
    exec(compile(example, f"docs/{page}, example {number + 1}", "exec"), given)
    return given
