"""pydgraph: walks the graph by DQL."""

import json

import pydgraph

import assay
import setting

# What the installation's own predicates begin with.
ID = f"{setting.NAME}.id"


def edges(client, node, name, reverse=False):
    """The edges of one name that begin at a node, or with `reverse` those that end there: other end -> facets."""
    predicate = f"~{name}" if reverse else name
    query = f"""query edges($node: string) {{
      nodes(func: eq(<{ID}>, $node)) {{ ends: <{predicate}> @facets {{ id: <{ID}> }} }}
    }}"""
    nodes = json.loads(client.txn(read_only=True).query(query, variables={"$node": node}).json)["nodes"]
    ends = [end for it in nodes for end in it.get("ends", [])]
    return {end["id"]: tuple(end.get(f"ends|{facet}") for facet in ("score", "time", "rule")) for end in ends}


def drawn(stored):
    """The edges that the payments make: name, source and target -> score, time and rule of the latest one."""
    edges = {}
    for payment in sorted(stored.values(), key=lambda payment: payment["time"]):
        about = (min(payment["amount"] / 1000, 1.0), payment["time"], "payment_links")
        card = f"card:{payment['card']}"
        edges[("paid", card, f"merchant:{payment['merchant']}")] = about
        if payment["device"]:
            edges[("used", card, f"device:{payment['device']}")] = about
    return edges


def check(stored):
    """The edges of cards, merchants and devices are those that the payments make, over HTTP and by DQL."""
    expected = drawn(stored)
    nodes = sorted({node for _, *ends in expected for node in ends})

    def listed():
        edges = [edge for node in nodes for edge in assay.graph(node)]
        return {(it["name"], it["source"], it["target"]): (it["score"], it["time"], it["rule"]) for it in edges}

    setting.until("the edges over HTTP", lambda: listed() == expected)
    stub = pydgraph.DgraphClientStub(setting.DGRAPH_GRPC)
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
        query = example.replace("assay.", f"{setting.NAME}.").replace("card-17", card).replace("card-99", other)
        found = json.loads(client.txn(read_only=True).query(query).json)
        assert any(found.values()), f"{query}\nfound nothing: {found}"
    names = {"localhost:9080": setting.DGRAPH_GRPC, "assay.id": ID, "card-17": card}
    assert setting.run_example("dgraph.md", 0, names)["edge"]["paid|rule"] == "payment_links"
