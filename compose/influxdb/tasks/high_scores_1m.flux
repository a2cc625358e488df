// Which share of a rule's scores is high, per minute: measurement `high_scores`, tags `stream`, `rule`, `mode`,
// field `share` (0 to 1).

import "date"

option task = {name: "high_scores_1m", every: 1m, offset: 20s}

// What counts as high.
threshold = 0.8

// Whole minutes only, and the last ten again: late points are counted, and counting twice gives the same point.
start = date.truncate(t: date.sub(d: 10m, from: now()), unit: 1m)
stop = date.truncate(t: now(), unit: 1m)

from(bucket: "assay")
    |> range(start: start, stop: stop)
    |> filter(fn: (r) => r._measurement == "score" and r._field == "score")
    |> map(fn: (r) => ({r with _value: if r._value >= threshold then 1.0 else 0.0}))
    |> group(columns: ["stream", "rule", "mode"])
    |> aggregateWindow(every: 1m, fn: mean, createEmpty: false, timeSrc: "_start")
    |> map(fn: (r) => ({r with _measurement: "high_scores", _field: "share"}))
    |> group(columns: ["_measurement", "_field", "stream", "rule", "mode"])
    |> to(bucket: "assay_1m", tagColumns: ["stream", "rule", "mode"])
