"""pydgraph: walks the graph by DQL."""

import json
from urllib.parse import urlsplit

import pydgraph

import assay
import setting


def grpc_address():
    # Of an alpha's ports the one for gRPC is a thousand behind the one for HTTP.
    url = urlsplit(setting.DGRAPH)
    return f"{url.hostname}:{url.port + 1000}"


def edges(client, node, name, reverse=False):
    """The edges of one name that begin at a node, or with `reverse` those that end there: other end -> facets."""
    predicate = f"~{name}" if reverse else name
    query = f"""query edges($node: string) {{
      nodes(func: eq(<assay.id>, $node)) {{ ends: <{predicate}> @facets {{ id: <assay.id> }} }}
    }}"""
    nodes = json.loads(client.txn(read_only=True).query(query, variables={"$node": node}).json)["nodes"]
    ends = [end for it in nodes for end in it.get("ends", [])]
    return {end["id"]: tuple(end.get(f"ends|{facet}") for facet in ("score", "time", "rule")) for end in ends}


def check(stored):
    """The edges of cards, merchants and devices are those that HTTP lists and those that the payments make."""
    nodes = {f"card:{payment['card']}" for payment in stored.values()}
    nodes |= {f"merchant:{payment['merchant']}" for payment in stored.values()}
    nodes |= {f"device:{payment['device']}" for payment in stored.values() if payment["device"]}
    drawn = {("paid", f"card:{it['card']}", f"merchant:{it['merchant']}") for it in stored.values()}
    drawn |= {("used", f"card:{it['card']}", f"device:{it['device']}") for it in stored.values() if it["device"]}

    def listed():
        found = {}
        for node in nodes:
            for edge in assay.graph(node):
                about = (edge["score"], edge["time"], edge["rule"])
                found[(edge["name"], edge["source"], edge["target"])] = about
        return found if len(found) >= len(drawn) else None

    expected = setting.until(f"{len(drawn)} edges", listed)
    assert set(expected) == drawn, f"HTTP lists {len(expected)} edges, the payments make {len(drawn)}"

    stub = pydgraph.DgraphClientStub(grpc_address())
    try:
        client = pydgraph.DgraphClient(stub)
        forwards, backwards = {}, {}
        for node in nodes:
            for name in ("paid", "used"):
                for end, about in edges(client, node, name).items():
                    forwards[(name, node, end)] = about
                for end, about in edges(client, node, name, reverse=True).items():
                    backwards[(name, end, node)] = about
        cards = sorted({it["card"] for it in stored.values()})
        check_docs(client, f"card:{cards[0]}", f"card:{cards[1]}")
    finally:
        stub.close()
    setting.same("edges", expected, forwards)
    setting.same("edges backwards", expected, backwards)


def check_docs(client, card, other):
    """The examples of the documentation find something."""
    for example in setting.snippets("dgraph.md", "dql"):
        query = example.replace("card-17", card).replace("card-99", other)
        found = json.loads(client.txn(read_only=True).query(query).json)
        assert any(found.values()), f"{query}\nfound nothing: {found}"
