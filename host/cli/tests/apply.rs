//! `assay apply` as a tool of those who keep packs in a repository: what would change, and what is gone from the pack.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod support;

use std::fs;
use std::path::Path;
use std::process::Output;

use support::{Server, assay};

const STREAM: &str = "stream: s
key: k
time: t
schema:
  type: record
  name: S
  fields:
    - { name: k, type: string }
    - { name: n, type: double }
    - { name: t, type: { type: long, logicalType: timestamp-millis } }
";
const VIEW: &str = "view: v\nstream: s\nby: [k]\nmeasures: { n: count() }\n";
const RULE: &str = "rule: r\nstream: s\nscore: n / 10.0\n";
const USER: &str = "rule: u\nstream: s\nscore: double(views.v.n)\n";

fn write(pack: &Path, files: &[(&str, &str)]) {
    for (file, text) in files {
        let file = pack.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }
}

fn apply(server: &Server, pack: &Path, more: &[&str]) -> (Option<i32>, String, String) {
    let mut command = assay();
    command.arg("apply").arg(pack).args(more).env("ASSAY_URL", &server.url).env("ASSAY_KEY", &server.key);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn names(server: &Server, kind: &str) -> Vec<String> {
    let list = server.read(&format!("/v1/{kind}"));
    list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_diff_shows_what_would_change_and_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), None, &[]);
    let pack = dir.path().join("pack");
    write(&pack, &[("streams/s.yaml", STREAM), ("rules/r.yaml", RULE)]);
    let (code, diff, _) = apply(&server, &pack, &["--diff"]);
    assert_eq!(code, Some(3));
    assert!(diff.contains("--- /dev/null\n+++ pack/rules/r\n"), "{diff}");
    assert!(names(&server, "rules").is_empty());
    assert_eq!(apply(&server, &pack, &[]).0, Some(0));
    let (code, diff, said) = apply(&server, &pack, &["--diff"]);
    assert_eq!((code, diff.as_str()), (Some(0), ""), "{said}");
    write(&pack, &[("rules/r.yaml", &RULE.replace("10.0", "20.0"))]);
    let (code, diff, _) = apply(&server, &pack, &["--diff"]);
    assert_eq!(code, Some(3));
    let lines: Vec<&str> = diff.lines().filter(|line| line.starts_with(['+', '-'])).collect();
    let expected =
        ["--- server/rules/r", "+++ pack/rules/r", "-  \"score\": \"n / 10.0\",", "+  \"score\": \"n / 20.0\","];
    assert_eq!(lines, expected, "no colours for a pipe");
    write(&pack, &[("rules/r.yaml", &RULE.replace("n / 10.0", "m / 10.0"))]);
    let (code, _, said) = apply(&server, &pack, &["--diff"]);
    assert!(
        code == Some(1) && said.matches("unknown name 'm'").count() == 1,
        "a single problem is printed once: {said}"
    );
    assert_eq!(server.read("/v1/rules/r")["definition"]["score"], "n / 10.0");
}

#[test]
fn pruning_deletes_only_removed_definitions_of_the_packs_streams() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), None, &[]);
    let (pack, other) = (dir.path().join("pack"), dir.path().join("other"));
    let all = [("streams/s.yaml", STREAM), ("views/v.yaml", VIEW), ("rules/r.yaml", RULE), ("rules/u.yaml", USER)];
    write(&pack, &all);
    write(
        &other,
        &[
            ("streams/o.yaml", &STREAM.replace("stream: s", "stream: o")),
            ("rules/o.yaml", "rule: of_other\nstream: o\nscore: n\n"),
        ],
    );
    for pack in [&pack, &other] {
        assert_eq!(apply(&server, pack, &[]).0, Some(0));
    }
    fs::remove_dir_all(pack.join("views")).unwrap();
    fs::remove_file(pack.join("rules/u.yaml")).unwrap();
    assert_eq!(apply(&server, &pack, &[]).0, Some(0));
    assert_eq!(names(&server, "rules"), ["of_other", "r", "u"], "only --prune deletes");

    let (code, diff, _) = apply(&server, &pack, &["--prune", "--diff"]);
    assert_eq!(code, Some(3));
    assert!(diff.contains("--- server/rules/u\n+++ /dev/null") && diff.contains("--- server/views/v\n"), "{diff}");
    let (code, _, said) = apply(&server, &pack, &["--prune"]);
    assert_eq!(code, Some(1), "nobody is there to ask");
    assert!(said.contains("would delete rule 'u', view 'v': add --yes"), "{said}");
    assert_eq!(names(&server, "rules"), ["of_other", "r", "u"]);
    let (code, told, said) = apply(&server, &pack, &["--prune", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(told.lines().any(|line| line.starts_with("rule") && line.ends_with("deleted")), "{told}");
    assert_eq!((names(&server, "rules"), names(&server, "views")), (vec!["of_other".into(), "r".into()], vec![]));
    assert_eq!(names(&server, "streams"), ["o", "s"]);
    assert_eq!(apply(&server, &pack, &["--prune"]).0, Some(0), "nothing is left to ask about");
    fs::remove_dir_all(pack.join("streams")).unwrap();
    let (code, _, said) = apply(&server, &pack, &["--prune", "--yes"]);
    assert!(code == Some(1) && said.contains("the pack has none"), "{said}");
}
