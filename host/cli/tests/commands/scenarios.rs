//! The scenarios, in the order in which they are played on one server. `{dir}`, `{pack}`, `{plugins}`, `{url}` and
//! `{key}` are filled in.

/// A command line and what comes of it.
pub(crate) struct Scenario {
    pub(crate) line: &'static str,
    pub(crate) exit: i32,
    /// What stdout has.
    pub(crate) out: &'static [&'static str],
    /// What stderr has.
    pub(crate) err: &'static [&'static str],
    /// Whether it is run only when all stores have what was sent before.
    pub(crate) is_settled: bool,
}

const fn good(line: &'static str, out: &'static [&'static str]) -> Scenario {
    Scenario { line, exit: 0, out, err: &[], is_settled: false }
}

const fn settled(line: &'static str, out: &'static [&'static str]) -> Scenario {
    Scenario { line, exit: 0, out, err: &[], is_settled: true }
}

const fn bad(line: &'static str, exit: i32, out: &'static [&'static str], err: &'static [&'static str]) -> Scenario {
    Scenario { line, exit, out, err, is_settled: true }
}

/// Commands that ask no server.
pub(crate) const LOCAL: &[&str] = &[
    "serve",
    "generate payments",
    "plugin new",
    "plugin build",
    "plugin test",
    "plugin inspect",
    "rule test",
    "explain",
    "migrate",
    "check",
    "compile-plugin",
    "completions",
];

/// Commands whose output is no result: events, settings, scripts, and what people read.
pub(crate) const NOT_JSON: &[&str] =
    &["serve", "generate payments", "migrate", "compile-plugin", "completions", "plugin test"];

pub(crate) const SCENARIOS: &[Scenario] = &[
    good(
        "serve --print-config --accept-loss --config {dir}/assay.toml --data {dir}/other --listen 127.0.0.1:0",
        &["workers = 3\n", "/other\"\n", "listen = \"127.0.0.1:0\"\n"],
    ),
    good("rule list --url {url} --key {key} --quiet", &["RULE"]),
    good("rule list --key-file {dir}/key --output json", &["\"items\": []"]),
    good("apply {pack} --plugins {plugins} --dry-run", &["velocity@1.0.0", "would be uploaded", "would be created"]),
    good("plugin list", &["PLUGIN"]),
    bad("apply {pack} --plugins {plugins} --diff", 3, &["+++ pack/rules/card_velocity"], &[]),
    good("apply {pack} --plugins {plugins}", &["velocity@1.0.0", "uploaded", "created"]),
    good("apply {dir}/counts", &["gone", "created"]),
    good("apply {dir}/fewer --prune --yes", &["gone", "deleted"]),
    good("stream list --name pay", &["payments", "card"]),
    good("stream list --from payments", &["STREAM"]),
    good("stream show payments", &["\"key\": \"card\""]),
    good("view list --name spend --stream payments", &["card_spend"]),
    good("view show card_spend", &["\"measures\""]),
    good("plugin inspect {plugins}/velocity.wasm", &["inputs", "amount"]),
    good("plugin list velocity", &["velocity@1.0.0", "sha256:"]),
    good("plugin show velocity@1.0.0", &["\"manifest\""]),
    good(
        "plugin push {dir}/velocity-1.1.wasm --dry-run",
        &["velocity@1.1.0 would be uploaded", "velocity 1.1.0 instead of velocity 1.0.0"],
    ),
    good(
        "plugin push {dir}/velocity-1.1.wasm",
        &["velocity@1.1.0 uploaded, sha256:", "velocity 1.1.0 instead of velocity 1.0.0"],
    ),
    good("plugin push {dir}/velocity-1.1.wasm", &["velocity@1.1.0 was there already", "nothing was changed"]),
    good("plugin push {dir}/velocity-1.1.wasm --dry-run", &["velocity@1.1.0 is there already"]),
    bad(
        "plugin push {dir}/counts.csv",
        1,
        &[],
        &["cannot push", "counts.csv", "is no WebAssembly", "assay plugin build"],
    ),
    bad("plugin inspect {dir}/counts.csv", 1, &[], &["cannot inspect", "is no WebAssembly"]),
    good("apply {pack} --plugins {plugins}", &["velocity@1.0.0", "unchanged"]),
    bad(
        "rule pin card_velocity velocity@9",
        1,
        &[],
        &["no uploaded plugin is 'velocity@9' (uploaded: velocity@1.0.0, velocity@1.1.0)"],
    ),
    good("rule revisions card_velocity", &["velocity@1.1.0 (as velocity@1)", "velocity@1.0.0 (as velocity@1)"]),
    good("rule rollback card_velocity", &["card_velocity is scored by velocity@1.0.0, revision 3"]),
    good(
        "rule rollback card_velocity --to 2",
        &["card_velocity is scored by velocity@1.1.0 (as velocity@1), revision 4"],
    ),
    good("rule pin card_velocity velocity@1.0.0 --dry-run", &["would be scored by velocity@1.0.0"]),
    good("rule pin card_velocity velocity@1.0.0", &["card_velocity is scored by velocity@1.0.0, revision 5"]),
    good(
        "rule pin card_velocity velocity@1",
        &["card_velocity is scored by velocity@1.1.0 (as velocity@1), revision 6"],
    ),
    good("plugin yank velocity@1.1.0 --dry-run", &["would be yanked", "velocity 1.0.0 instead of velocity 1.1.0"]),
    good("plugin yank velocity@1.1.0", &["velocity@1.1.0 is yanked", "velocity 1.0.0 instead of velocity 1.1.0"]),
    good("plugin list", &["velocity@1.1.0 (yanked)"]),
    good("plugin yank velocity@1.1.0 --undo", &["velocity@1.1.0 is offered to rules"]),
    good("rule list --stream payments --mode active --plugin velocity", &["card_velocity"]),
    good("rule show card_velocity", &["\"resolved_plugin\": \"velocity@1.1.0\""]),
    good("rule pause card_velocity", &["card_velocity is paused, revision ", "assay rule resume card_velocity"]),
    good("rule pause card_velocity", &["card_velocity is already paused"]),
    good("rule rollback card_velocity", &["it is paused: assay rule resume card_velocity"]),
    good("rule resume card_velocity", &["card_velocity is active, scored by velocity@1"]),
    good("rule status card_velocity", &["breaker", "closed"]),
    good("rule test {pack} --plugins {plugins}", &["passed"]),
    good(
        "generate payments --count 5 --seed 7 --cards 10 --fraud-share 0.5 --start 2026-01-05T08:00:00Z",
        &["\"card\""],
    ),
    good("generate payments --count 1 --start 1767600000000", &["1767600000"]),
    good("generate payments --count 200 --to-file {dir}/payments.jsonl", &["200 events written to ", " events/s"]),
    good("generate payments --count 50 --rate 1000 --to-stream payments", &["50 events accepted, 0 rejected, "]),
    bad(
        "generate payments --count 5 --to-stream counts",
        1,
        &["0 events accepted, 5 rejected"],
        &["line 1: ", "5 of 5"],
    ),
    good(
        "ingest payments {dir}/payments.jsonl --errors {dir}/refused.txt --batch 100 --compress always",
        &["200 events accepted, 0 rejected"],
    ),
    bad("ingest counts {dir}/counts.csv", 1, &["2 events accepted, 1 rejected"], &["line 4: ", "1 of 3 events were"]),
    bad("ingest nowhere {dir}/counts.csv", 1, &[], &["there is no stream 'nowhere' (streams: counts, payments)"]),
    bad("ingest nowhere {dir}/payments.jsonl", 1, &[], &["there is no stream 'nowhere' (streams: counts, payments)"]),
    settled("show scores payment_risk --limit 5 --min 0", &["ENTITY", "card-"]),
    good("show entity counts b", &["\"inverse\""]),
    good("show event counts 0-1", &["\"inverse\""]),
    good(
        "dead-letters list --stream counts --rule inverse --limit 10",
        &["ENTITY", "2026-01-05T08:00:00Z  a  ", "inverse"],
    ),
    good("dead-letters show counts 0 0", &["\"inverse\""]),
    good("tail --rule payment_risk --stream payments --tag review --min 0", &["payment_risk"]),
    bad("entity delete counts b", 1, &["1 events"], &["nothing was deleted: add --yes"]),
    settled("entity delete counts b --yes", &["1"]),
    bad("entity delete counts b --yes", 1, &[], &["no event of 'b' was seen in the stream 'counts'"]),
    bad("entity delete counts nobody", 1, &[], &["no event of 'nobody' was seen in the stream 'counts'"]),
    bad("entity delete nowhere nobody", 1, &[], &["there is no stream 'nowhere' (streams: counts, payments)"]),
    good("keys create producer --role ingest --role read", &["_"]),
    good("keys list", &["producer  ingest,read"]),
    good("keys delete producer", &["producer"]),
    good("explain plugin-trap", &["plugin-trap"]),
    good("explain", &["not-found"]),
    bad("migrate --data {dir}/data --config {dir}/distributed.toml", 1, &[], &["in use"]),
    bad("check {dir}/data", 1, &[], &["in use"]),
    bad("check {dir}/nowhere", 1, &[], &["there is no folder", "nowhere", "data.dir"]),
    bad("check {dir}/counts", 1, &[], &["counts is not a data folder", "data.dir"]),
    bad("serve --listen nope --data {dir}/other", 1, &[], &["cannot listen on 'nope'", "expected HOST:PORT"]),
    bad("compile-plugin 1 100000000", 1, &[], &[]),
    good("completions bash", &["dead-letters"]),
    good("plugin new my-scorer --dir {dir}/my-scorer", &["my-scorer"]),
];

/// Those that build a plugin, which takes its time.
pub(crate) const BUILDS: &[Scenario] = &[
    good("plugin new my-scorer --dir {dir}/my-scorer", &["my-scorer"]),
    good("plugin test {dir}/my-scorer", &["2 passed"]),
    good("plugin build {dir}/my-scorer", &["my_scorer.wasm"]),
    good("plugin push {dir}/my-scorer", &["my-scorer@0.1.0"]),
];
