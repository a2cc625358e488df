// Scores per minute, rule by rule: measurement `scores`, tags `stream`, `rule`, `mode`, fields `mean`, `p99`, `count`.

import "date"

option task = {name: "scores_1m", every: 1m, offset: 15s}

// Whole minutes only, and the last ten again: late points are counted, and counting twice gives the same point.
start = date.truncate(t: date.sub(d: 10m, from: now()), unit: 1m)
stop = date.truncate(t: now(), unit: 1m)

scores =
    from(bucket: "assay")
        |> range(start: start, stop: stop)
        |> filter(fn: (r) => r._measurement == "score" and r._field == "score")
        |> group(columns: ["stream", "rule", "mode"])

write = (tables=<-, field) =>
    tables
        |> map(fn: (r) => ({r with _measurement: "scores", _field: field}))
        |> group(columns: ["_measurement", "_field", "stream", "rule", "mode"])
        |> to(bucket: "assay_1m", tagColumns: ["stream", "rule", "mode"])

scores
    |> aggregateWindow(every: 1m, fn: mean, createEmpty: false, timeSrc: "_start")
    |> write(field: "mean")

scores
    |> aggregateWindow(
        every: 1m,
        fn: (column, tables=<-) => tables |> quantile(q: 0.99, column: column),
        createEmpty: false,
        timeSrc: "_start",
    )
    |> write(field: "p99")

scores
    |> aggregateWindow(every: 1m, fn: count, createEmpty: false, timeSrc: "_start")
    |> write(field: "count")
