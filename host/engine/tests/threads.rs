//! Every thread of a server goes on after a panic: all of them are started in one place, and what is started elsewhere is
//! named here with the reason.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

use std::fs;
use std::path::{Path, PathBuf};

/// Files of the host's crates that start threads or tasks, and why a panic there costs nobody else.
const ALLOWED: [(&str, &str); 12] = [
    ("engine/src/panics.rs", "starts threads that go on after a panic"),
    ("runtime/src/deadline.rs", "its loop has nothing that can panic"),
    ("runtime/src/compiler.rs", "writes an upload to a child process; a panic is an error of that upload alone"),
    ("core/src/expr/parser_stack.rs", "reads one expression; a panic is a refusal of that one"),
    ("api/src/serve.rs", "a task per connection; panics of handlers are answered, see api/src/http/layers.rs"),
    ("api/src/app.rs", "a request's own work; a panic is answered with 500"),
    ("api/src/ingest/answer.rs", "the rest of one answer; a panic ends its body with an error"),
    ("api/src/http/body.rs", "a request's own body; a panic is answered with 500"),
    ("api/src/ingest/answer.rs", "the rest of a request's own answer; after a panic its client sees that it was cut"),
    ("engine/src/ingest/wait.rs", "a request's own wait; a panic is answered with 500"),
    ("cli/src/serve.rs", "the start and the end of the process, and its signals"),
    ("cli/src/", "commands of a client: a panic ends the command"),
];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn no_thread_is_started_elsewhere() {
    let host = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for folder in fs::read_dir(host).unwrap() {
        let source = folder.unwrap().path().join("src");
        if source.is_dir() {
            sources(&source, &mut files);
        }
    }
    assert!(files.len() > 100, "only {} files", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let name = file.strip_prefix(host).unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        // Unit tests come last in a file.
        let code = text.split("#[cfg(test)]").next().unwrap();
        let starts =
            ["thread::Builder", "thread::spawn", "thread::scope", "tokio::spawn", "spawn_blocking", "::spawn_local"];
        let found = starts.iter().find(|start| code.contains(**start));
        if let Some(found) = found.filter(|_| !ALLOWED.iter().any(|(allowed, _)| name.starts_with(allowed))) {
            wrong.push(format!("{name}: {found}"));
        }
    }
    assert!(wrong.is_empty(), "start threads by assay_engine::panics::spawn, or say here why not: {wrong:#?}");
}
