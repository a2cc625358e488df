// Events per minute, stream by stream: measurement `events`, tag `stream`, field `count`.

import "date"

option task = {name: "events_1m", every: 1m, offset: 10s}

// Whole minutes only, and the last ten again: late points are counted, and counting twice gives the same point.
start = date.truncate(t: date.sub(d: 10m, from: now()), unit: 1m)
stop = date.truncate(t: now(), unit: 1m)

// Raw events only: verdicts are in `score`, what Assay keeps for itself in `assay_...`.
// An event has one value in each of its fields. A field may be missing in some, so the fullest field counts.
from(bucket: "assay")
    |> range(start: start, stop: stop)
    |> filter(fn: (r) => r._measurement !~ /^(score$|assay_)/)
    |> aggregateWindow(every: 1m, fn: count, createEmpty: false, timeSrc: "_start")
    |> drop(columns: ["_start", "_stop"])
    |> group(columns: ["_field", "_value"], mode: "except")
    |> max()
    |> group(columns: ["_measurement", "_time"])
    |> sum()
    |> map(
        fn: (r) => ({
            _time: r._time,
            _measurement: "events",
            _field: "count",
            _value: r._value,
            stream: r._measurement,
        }),
    )
    |> group(columns: ["_measurement", "_field", "stream"])
    |> to(bucket: "assay_1m")
