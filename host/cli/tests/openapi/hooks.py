"""Bodies that Schemathesis does not know how to write."""

import json

import schemathesis


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    return (json.dumps(value) + "\n").encode()


@schemathesis.serializer("application/avro", "application/wasm")
def octets(context, value):
    return value if isinstance(value, bytes) else str(value).encode()
