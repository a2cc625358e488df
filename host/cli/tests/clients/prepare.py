"""Makes what a server on InfluxDB expects to be there: the bucket. It makes all else itself."""

from influxdb_client import InfluxDBClient

import setting

with InfluxDBClient(url=setting.INFLUXDB, token=setting.INFLUXDB_TOKEN, org="assay") as client:
    client.buckets_api().create_bucket(bucket_name=setting.NAME)
