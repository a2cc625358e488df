//! The examples of the docs, run: commands on a real server, in the order of their page, whose answers are as shown;
//! definitions that the server takes; a case that passes. What cannot run is marked in the page with why.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[path = "docs/answers.rs"]
mod answers;
#[path = "docs/page.rs"]
mod page;
mod support;

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use page::{Block, blocks};
use serde_json::Value;
use support::{Server, WAIT_TIMEOUT, assay, pack, plugins};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// Every answer goes to a file of its own; a read is asked again for a while, since stores follow the log.
const CURL: &str = r#"
curl() {
  local file="answers/$(ls answers | wc -l).json" try
  for try in $(seq 50); do
    if command curl --silent --show-error --fail-with-body --max-time 60 --output "$file" "$@" 2> curl.txt < "${stdin:-/dev/null}"
    then return 0; fi
    case "$*" in *--data*|*' -d '*|*' -X '*) break;; esac
    sleep 0.1
  done
  echo "curl $*" >&2; cat curl.txt "$file" >&2
  return 1
}
"#;

/// Runs the sh blocks of a page, each in the folder, and compares the json blocks with the answers before them.
fn run_page(page: &Path, server: &Server, folder: &Path) {
    let mut answers: Vec<Value> = Vec::new();
    let mut commands = 0;
    for block in blocks(page) {
        let place = format!("{}:{}", page.display(), block.line);
        match block.language.as_str() {
            "sh" => {
                answers = run_block(&block, &place, server, folder);
                commands += 1;
            }
            "json" if !answers.is_empty() => {
                for shown in serde_json::Deserializer::from_str(&block.text).into_iter::<Value>() {
                    let shown = shown.unwrap_or_else(|error| panic!("{place}: {error}"));
                    let lacks = |answer: &Value| answers::lacks(&shown, answer, "");
                    let all: Vec<String> = answers.iter().filter_map(lacks).collect();
                    assert!(all.len() < answers.len(), "{place}: no answer is so: {all:#?}\n{answers:#?}");
                }
            }
            _ => {}
        }
    }
    assert!(commands > 0, "{} has no commands", page.display());
}

fn run_block(block: &Block, place: &str, server: &Server, folder: &Path) -> Vec<Value> {
    let answers = folder.join("answers");
    let _ = fs::remove_dir_all(&answers);
    fs::create_dir(&answers).unwrap();
    // Where the server is, its key and the folder are known here.
    let is_known = |line: &&str| line.starts_with("export ASSAY_") || line.starts_with("cd ~/");
    let lines = block.text.lines().filter(|line| !is_known(line));
    let script = format!(
        "set -eu -o pipefail\n{CURL}\nassay() {{ \"$ASSAY_BIN\" \"$@\"; }}\n{}",
        lines.collect::<Vec<_>>().join("\n")
    );
    // A body that comes through a pipe is read by curl itself.
    let script = script.replace("| curl ", "| stdin=/dev/stdin curl ");
    let variables = [
        ("ASSAY_URL", server.url.as_str()),
        ("ASSAY_KEY", &server.key),
        ("ASSAY_BIN", env!("CARGO_BIN_EXE_assay")),
        ("auth", &format!("Authorization: Bearer {}", server.key)),
    ];
    let output = Command::new("bash").args(["-c", &script]).current_dir(folder).envs(variables).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{place}: {}\n{said}", output.status);
    let mut files: Vec<PathBuf> = fs::read_dir(&answers).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().filter_map(|file| serde_json::from_slice(&fs::read(file).unwrap()).ok()).collect()
}

fn write(folder: &Path, file: &str, text: &str) {
    let file = folder.join(file);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, text).unwrap();
}

const STREAM: &str = "stream: payments
key: card
time: time
id: id
schema:
  type: record
  name: Payment
  fields:
    - { name: id, type: string }
    - { name: card, type: string }
    - { name: merchant, type: string }
    - { name: country, type: string }
    - { name: amount, type: double }
    - { name: time, type: { type: long, logicalType: timestamp-millis } }
";
const SPEND: &str = "view: card_spend\nstream: payments\nby: [card]\nmeasures: { payments: count(), spent: sum(amount), biggest: max(amount) }\nover: 1h\n";
const HOURS: &str = "view: card_hours\nstream: payments\nby: [card]\nmeasures: { payments: count(), spent: sum(amount) }\nevery: 1h\nkeep: 30d\n";
const VELOCITY: &str = "rule: card-velocity\nstream: payments\nplugin: velocity@1\ninputs: { amount: amount, spent_1h: views.card_spend.spent, count_1h: views.card_spend.payments }\ntags: { review: score >= 0.1 }\n";
const RISK: &str = "rule: card_velocity\nstream: payments\nscore: amount / 1000.0\n";
const LINKS: &str = "rule: links\nstream: payments\nplugin: payment-links@1\ninputs: { card: card, merchant: merchant, amount: amount }\n";
const OLD: &str = "rule: old\nstream: payments\nscore: amount\n";
const LINES: &str = r#"{"id":"q1","card":"card-1","merchant":"m-7","country":"DE","amount":8.0,"time":1767600000000}
{"id":"q2","card":"card-2","merchant":"m-7","country":"DE","amount":9.0,"time":1767600001000}
"#;

/// A server with what the pages speak of, and the folder of somebody who follows them.
fn at_work(folder: &Path) -> Server {
    let server = Server::start(&folder.join("data"), None, &[]);
    let here = folder.join("here");
    for (file, text) in [
        ("streams/payments.yaml", STREAM),
        ("views/card_spend.yaml", SPEND),
        ("views/card_hours.yaml", HOURS),
        ("rules/card-velocity.yaml", VELOCITY),
        ("rules/card_velocity.yaml", RISK),
        ("rules/links.yaml", LINKS),
        ("rules/old.yaml", OLD),
    ] {
        write(&here, file, text);
    }
    server.command(&[&"apply", &here, &"--plugins", &plugins()]);
    write(&here, "payments.jsonl", LINES);
    // What the pages call a pack is this folder.
    std::os::unix::fs::symlink(".", here.join("DIR")).unwrap();
    fs::copy(plugins().join("velocity.wasm"), here.join("velocity.wasm")).unwrap();
    server.command(&[&"generate", &"payments", &"--count", &"20", &"--to-file", &here.join("payments.avro")]);
    server
}

#[test]
fn the_commands_of_the_api_page_run_and_answer_as_shown() {
    let dir = tempfile::tempdir().unwrap();
    let server = at_work(dir.path());
    run_page(&root().join("docs/api.md"), &server, &dir.path().join("here"));
    assert!(server.stop().success());
}

#[test]
fn the_commands_of_the_pages_on_views_and_schemas_run_and_answer_as_shown() {
    let dir = tempfile::tempdir().unwrap();
    let server = at_work(dir.path());
    server.command(&[&"ingest", &"payments", &dir.path().join("here/payments.jsonl")]);
    for page in ["views", "registry"] {
        run_page(&root().join(format!("docs/{page}.md")), &server, &dir.path().join("here"));
    }
    assert!(server.stop().success());
}

/// Builds a plugin, natively and to Wasm, as its author does.
#[test]
#[ignore = "builds a plugin: cargo xtask test --servers"]
fn the_first_steps_of_the_readme_run() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), None, &[]);
    let here = dir.path().join("first-steps");
    fs::create_dir(&here).unwrap();
    run_page(&root().join("README.md"), &server, &here);
    let verdicts = server.read("/v1/entities/purchases/anna/verdicts");
    let large = verdicts["items"][0]["verdicts"].as_array().unwrap().iter().find(|said| said["rule"] == "large_amount");
    assert_eq!(large.unwrap()["score"], 0.95, "{verdicts}");
    assert!(server.stop().success());
}

/// The YAML blocks that are definitions, in the order of all pages.
fn definitions() -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let mut pages: Vec<PathBuf> =
        fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.sort();
    for page in pages {
        for block in blocks(&page).into_iter().filter(|block| block.language == "yaml") {
            for kind in ["stream", "view", "rule"] {
                if let Some(rest) = block.text.strip_prefix(&format!("{kind}: ")) {
                    let name = rest.lines().next().unwrap().to_owned();
                    let place = format!("{}:{}: {kind}/{name}", page.display(), block.line);
                    found.push((place, kind.to_owned(), block.text.clone()));
                }
            }
        }
    }
    found
}

#[test]
fn the_definitions_of_the_docs_are_taken() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), None, &[]);
    server.command(&[&"apply", &pack("payments"), &"--plugins", &plugins()]);
    let definitions = definitions();
    assert!(definitions.len() >= 7, "{definitions:?}");
    for (place, kind, text) in definitions {
        // The pack's stream stays as it is: a page's stream of that name is made under another one.
        let text = if kind == "stream" {
            text.replacen("stream: payments\n", "stream: payments-of-the-page\n", 1)
        } else {
            text
        };
        let name = text.lines().next().unwrap().split_once(": ").unwrap().1.to_owned();
        let path = format!("/v1/{kind}s/{name}");
        let (status, answer) = server.send("PUT", &path, Some(("application/yaml", text.as_bytes()))).unwrap();
        assert!(status == 200 || status == 201, "{place}: {answer}");
    }
    assert!(server.stop().success());
}

/// A line with all numbers alike, cut behind its second word.
fn beginning(line: &str) -> String {
    let words = line.split_whitespace().take(2).map(|word| {
        let parts = word.split(|c: char| c.is_ascii_digit() || c == '.');
        parts.filter(|part| !part.is_empty()).collect::<Vec<_>>().join("#")
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What a command prints first, so many lines; it may go on for ever, and hears of new payments meanwhile.
fn printed_by(command: &str, lines: usize, server: &Server, folder: &Path) -> Vec<String> {
    let mut child = assay();
    child.args(command.split(' ').skip(1)).env("ASSAY_URL", &server.url).env("ASSAY_KEY", &server.key);
    let mut child = child.current_dir(folder).stdout(Stdio::piped()).spawn().unwrap();
    let (send, receive) = std::sync::mpsc::channel();
    let output = BufReader::new(child.stdout.take().unwrap());
    std::thread::spawn(move || output.lines().for_each(|line| drop(send.send(line.unwrap()))));
    let mut printed = Vec::new();
    let deadline = Instant::now() + WAIT_TIMEOUT;
    while printed.len() < lines {
        match receive.recv_timeout(Duration::from_secs(1)) {
            Ok(line) => printed.push(line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                assert!(Instant::now() < deadline, "{command} printed {printed:?} and no more");
                server.command(&[&"-q", &"ingest", &"payments", &folder.join("payments.jsonl")]);
            }
        }
    }
    // It may have ended already.
    let _ = child.kill();
    child.wait().unwrap();
    printed
}

#[test]
fn the_sessions_of_the_docs_look_as_shown() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), None, &[]);
    server.command(&[&"apply", &pack("payments"), &"--plugins", &plugins()]);
    server.command(&[&"generate", &"payments", &"--count", &"20000", &"--to-file", &dir.path().join("payments.jsonl")]);
    let mut sessions = 0;
    for page in ["cli", "rules"] {
        let texts =
            blocks(&root().join(format!("docs/{page}.md"))).into_iter().filter(|block| block.language == "text");
        for session in texts.flat_map(|block| {
            let sessions: Vec<String> =
                block.text.split("$ assay").skip(1).map(|text| format!("assay{text}")).collect();
            sessions
        }) {
            let (command, shown) = session.split_once('\n').unwrap();
            // Nothing fails here.
            let shown: Vec<String> = shown
                .lines()
                .filter(|line| !line.is_empty() && !line.starts_with("last failure"))
                .map(beginning)
                .collect();
            let printed = printed_by(command, shown.len(), &server, dir.path());
            assert_eq!(
                printed.iter().map(|line| beginning(line)).collect::<Vec<_>>(),
                shown,
                "{command}\n{printed:#?}"
            );
            sessions += 1;
        }
    }
    assert!(sessions >= 4, "{sessions}");
    assert!(server.stop().success());
}

/// A config as the server understands it, or what it says against it.
fn printed(config: &Path) -> Result<String, String> {
    let output = assay().args(["serve", "--print-config", "--config"]).arg(config).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

#[test]
fn the_configs_of_the_docs_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let (file, mut found) = (dir.path().join("assay.toml"), 0);
    for page in ["configuration", "dgraph", "influxdb"] {
        for block in blocks(&root().join(format!("docs/{page}.md"))) {
            if block.language == "toml" {
                fs::write(&file, &block.text).unwrap();
                printed(&file).unwrap_or_else(|said| panic!("{page}.md:{}: {said}", block.line));
                found += 1;
            }
        }
    }
    assert!(found >= 4, "{found}");
    let page = blocks(&root().join("docs/configuration.md"));
    let first = page.iter().find(|block| block.language == "toml").unwrap();
    fs::write(&file, &first.text).unwrap();
    let shown = printed(&file).unwrap();
    fs::write(&file, "").unwrap();
    assert_eq!(shown, printed(&file).unwrap(), "the page shows the defaults");
    for key in shown.split("[stores]").next().unwrap().lines().filter_map(|line| line.split_once(" = ")) {
        assert!(first.text.contains(&format!("{} = ", key.0)), "the page lacks '{}'", key.0);
    }
    let mistake = page.iter().find(|block| block.language == "text").unwrap();
    fs::write(&file, "[engine]\npartition = 4\n").unwrap();
    let said = printed(&file).unwrap_err().replace(&*file.to_string_lossy(), "assay.toml");
    assert_eq!(said, mistake.text);
}

/// Makes a plugin of the page's code, as its author does.
#[test]
#[ignore = "builds a plugin: cargo xtask test --servers"]
fn the_plugin_of_the_page_on_the_sdk_builds_and_passes_its_test() {
    let dir = tempfile::tempdir().unwrap();
    let page = blocks(&root().join("docs/sdk.md"));
    let code: Vec<&str> =
        page.iter().filter(|block| block.language == "rust").map(|block| block.text.as_str()).collect();
    let first = code.iter().find(|code| code.contains("pub fn score(config: &Config, payment")).unwrap();
    let test = code.iter().find(|code| code.contains("#[test]")).unwrap();
    let run = |arguments: &[&str]| {
        let output = assay().args(arguments).current_dir(dir.path()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {said}");
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["plugin", "new", "large-amount"]);
    let lib = dir.path().join("large-amount/src/lib.rs");
    fs::write(&lib, format!("{first}\n#[cfg(test)]\nmod tests {{\n    use super::*;\n{test}}}\n")).unwrap();
    run(&["plugin", "test", "large-amount"]);
    let built = run(&["plugin", "build", "large-amount"]);
    let shown = run(&["plugin", "inspect", built.trim()]);
    assert!(shown.contains("large-amount 0.1.0") && shown.contains("The amount in euros."), "{shown}");
}

#[test]
fn the_case_of_the_docs_passes() {
    let dir = tempfile::tempdir().unwrap();
    for part in ["streams", "views", "rules"] {
        for file in fs::read_dir(pack("payments").join(part)).unwrap() {
            let file = file.unwrap();
            write(
                dir.path(),
                &format!("{part}/{}", file.file_name().display()),
                &fs::read_to_string(file.path()).unwrap(),
            );
        }
    }
    let case = blocks(&root().join("docs/packs.md")).into_iter().find(|block| block.language == "yaml").unwrap();
    write(dir.path(), "cases/docs.yaml", &case.text);
    let output = assay().args(["rule", "test"]).arg(dir.path()).arg("--plugins").arg(plugins()).output().unwrap();
    let (told, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}{said}");
}
