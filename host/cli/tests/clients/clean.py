"""Deletes what a run has left on the servers, once its server has stopped."""

from cassandra.cluster import Cluster
from confluent_kafka.admin import AdminClient
from influxdb_client import InfluxDBClient
from pymongo import MongoClient

import setting

MongoClient(setting.MONGODB).drop_database(setting.NAME)
host, port = setting.CASSANDRA.split(":")
with Cluster([host], port=int(port)) as cluster:
    cluster.connect().execute(f"DROP KEYSPACE {setting.NAME}", timeout=60)
with InfluxDBClient(url=setting.INFLUXDB, token=setting.INFLUXDB_TOKEN, org="assay") as client:
    buckets = client.buckets_api()
    buckets.delete_bucket(buckets.find_bucket_by_name(setting.NAME))
kafka = AdminClient({"bootstrap.servers": setting.KAFKA})
topics = [topic for topic in kafka.list_topics(timeout=30).topics if topic.split(".")[0] == setting.NAME]
for deleted in kafka.delete_topics(topics).values():
    deleted.result(60)
# Dgraph has no place of its own for a run. Its nodes have the run's name in their ids and disturb nobody.
