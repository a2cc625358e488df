module assay.test/dgraph

go 1.24.3

require github.com/hypermodeinc/dgraph/v25 v25.0.0
