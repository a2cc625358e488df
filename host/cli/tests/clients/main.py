"""Does what users of Assay do with their own clients, and compares what each of them sees with what HTTP says.

`cargo xtask test --servers -- clients` starts a server and calls this. Ends with code 0 if all is right."""

import time

import assay
import payments
import setting
import with_dgraph
import with_influxdb
import with_kafka
import with_mongodb
import with_scylladb


def step(what, do, *with_these):
    started = time.monotonic()
    result = do(*with_these)
    print(f"{time.monotonic() - started:6.1f} s  {what}", flush=True)
    return result


def all_judged(count):
    """What was said of the events, once all are judged."""

    def attempt():
        said = assay.outcomes(payments.CARDS)
        return said if len(said) >= count else None

    return setting.until(f"verdicts on {count} events", attempt)


def main():
    stored, unreadable = step("confluent-kafka: 1,100 payments by two schemas", with_kafka.produce)
    said = step("all are judged", all_judged, len(stored))
    step("their scores are right", with_kafka.check_scores, stored, said)
    step("two dead letters over HTTP", with_kafka.check_dead_letters, unreadable)
    step("confluent-kafka: the documentation's producer", with_kafka.run_producer_of_docs)
    step("pymongo: submissions", with_mongodb.check_submissions)
    step("pymongo: the documentation's submission", with_mongodb.run_submission_of_docs)
    said = all_judged(len(stored) + 4)
    stored = assay.events(payments.CARDS)
    step("confluent-kafka: topics of verdicts and dead letters", with_kafka.check_topics, said, unreadable)
    step("confluent-kafka: the documentation's consumer", with_kafka.run_consumer_of_docs)
    step("pymongo: definitions and commits", with_mongodb.check_catalog)
    step("pymongo: profiles", with_mongodb.check_profiles, said)
    step("pymongo: dead letters", with_mongodb.check_dead_letters, unreadable)
    step("pymongo: the documentation's queries", with_mongodb.run_queries_of_docs)
    step("scylla-driver: events, verdicts and buckets", with_scylladb.check, stored, said, unreadable)
    step("influxdb-client: scores and events", with_influxdb.check, stored, said)
    step("pydgraph: edges both ways", with_dgraph.check, stored)
    print(f"{len(stored)} events, {len(assay.verdicts(said))} verdicts: all clients see the same")


main()
