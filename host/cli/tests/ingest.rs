//! `assay ingest` with what people hand to it: the same events from files of every kind, live pipes, and files that are
//! refused with words. Nothing is lost without a word and an exit code.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod support;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use support::{Server, assay};

const STREAM: &str = "stream: pay
key: card
time: time
id: id
schema:
  type: record
  name: Pay
  fields:
    - { name: id, type: string }
    - { name: card, type: string }
    - { name: time, type: { type: long, logicalType: timestamp-millis } }
    - { name: amount, type: ['null', double], default: null }
";
const VIEW: &str = "view: v\nstream: pay\nby: [card]\nmeasures: { n: count() }\n";

struct Setting {
    server: Server,
    dir: tempfile::TempDir,
}

impl Setting {
    fn start() -> Self {
        Self::with(&[])
    }

    /// A server with some settings.
    fn with(settings: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("data"), None, settings);
        let pack = dir.path().join("pack");
        for (file, text) in [("streams/pay.yaml", STREAM), ("views/v.yaml", VIEW)] {
            let file = pack.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        }
        server.command(&[&"apply", &pack]);
        Self { server, dir }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let file = self.dir.path().join(name);
        std::fs::write(&file, bytes).unwrap();
        file
    }

    fn ingest(&self, file: &Path) -> Output {
        let mut command = assay();
        command.args(["ingest", "pay"]).arg(file).env("ASSAY_URL", &self.server.url).env("ASSAY_KEY", &self.server.key);
        command.output().unwrap()
    }

    /// Waits until so many events of a card are counted, and no more.
    fn counted(&self, card: &str, count: u64) {
        let path = format!("/v1/views/v/values?key={card}");
        let answer = self.server.until(&path, |_, answer| answer["measures"]["n"].as_u64().unwrap_or(0) >= count);
        assert_eq!(answer["measures"]["n"], count, "{card}");
    }
}

fn event(card: &str, number: usize) -> String {
    format!(
        "{{\"id\":\"{card}-{number}\",\"card\":\"{card}\",\"time\":{},\"amount\":1.5}}",
        1_767_225_600_000_u64 + number as u64
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn the_same_events_come_from_files_of_every_kind() {
    let setting = Setting::start();
    let lines = |card: &str| format!("{}\n{}\n", event(card, 1), event(card, 2));
    let pretty = |card: &str| lines(card).replace(",\"", ",\n  \"").replace('{', "{\n  ").replace('}', "\n}");
    let csv = |card: &str| {
        format!("id,card,time,amount\n{card}-1,{card},1767225600001,1.5\n{card}-2,{card},2026-01-01T00:00:00.002Z,\n")
    };
    let members = [gzip(event("gz", 1).as_bytes()), gzip(b"\n"), gzip(event("gz", 2).as_bytes())].concat();
    let files: Vec<(&str, &str, Vec<u8>)> = vec![
        ("lf", "lf.jsonl", lines("lf").into_bytes()),
        ("crlf", "crlf.jsonl", lines("crlf").replace('\n', "\r\n").into_bytes()),
        ("bom", "bom.jsonl", format!("\u{feff}{}", lines("bom")).into_bytes()),
        ("blank", "blank.jsonl", format!("\n{}\n\n{}", event("blank", 1), event("blank", 2)).into_bytes()),
        ("array", "array.json", format!("[{},{}]", event("array", 1), event("array", 2)).into_bytes()),
        ("pretty", "pretty.json", pretty("pretty").into_bytes()),
        ("gz", "gz.jsonl.gz", members),
        ("zst", "zst.jsonl.zst", zstd::encode_all(lines("zst").as_bytes(), 1).unwrap()),
        ("csv", "csv.csv", csv("csv").into_bytes()),
        ("semi", "semi.txt", csv("semi").replace(',', ";").into_bytes()),
        ("csvgz", "csvgz.csv.gz", gzip(csv("csvgz").replace('\n', "\r\n").as_bytes())),
    ];
    for (card, name, bytes) in files {
        let output = setting.ingest(&setting.file(name, &bytes));
        assert!(
            output.status.success() && text(&output).starts_with("2 events accepted, 0 rejected"),
            "{name}: {}",
            text(&output)
        );
        setting.counted(card, 2);
    }
    let empty = setting.ingest(&setting.file("empty.jsonl", b""));
    assert!(empty.status.success() && text(&empty).starts_with("0 events accepted"), "{}", text(&empty));
}

#[test]
fn unreadable_files_are_reported_and_the_events_before_the_mistake_are_sent() {
    let setting = Setting::start();
    let utf16: Vec<u8> = "\u{feff}{}".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let lines: String = (1..=20_000).map(|number| event("cut", number) + "\n").collect();
    let packed = gzip(lines.as_bytes());
    let long = event("open", 1) + "\n" + &event("open", 2).replace('}', "");
    let array = format!("[{},\n{},\n17]", event("mixed", 1), event("mixed", 2));
    for (name, bytes, said) in [
        ("utf16.jsonl", utf16, "is UTF-16: convert it to UTF-8"),
        ("a.zip", b"PK\x03\x04rest".to_vec(), "is a zip archive: unpack it"),
        ("cut.gz", packed[..packed.len() / 2].to_vec(), "reading the file failed"),
        ("mixed.json", array.into_bytes(), "line 3: expected a JSON object, got '1'"),
        ("color.csv", b"id,color\n1,red\n".to_vec(), "the column 'color' is no field of the stream's schema"),
        ("cells.csv", b"id,card,time\nx,cells,5\ny,cells\n".to_vec(), "line 3: it has 2 cells, and the header has 3"),
        ("open.jsonl", long.into_bytes(), "line 2: "),
    ] {
        let output = setting.ingest(&setting.file(name, &bytes));
        assert_eq!(output.status.code(), Some(1), "{name}: {}", text(&output));
        assert!(text(&output).contains(said), "{name}: {}", text(&output));
    }
    setting.counted("mixed", 2);
    setting.counted("cells", 1);
    setting.counted("open", 1);
    let all = setting.server.until("/v1/views/v/values?key=cut", |status, _| status == 200);
    assert!(all["measures"]["n"].as_u64().unwrap_or(0) < 20_000);
}

#[test]
fn an_event_of_a_live_pipe_is_sent_while_the_pipe_stays_open() {
    let setting = Setting::start();
    let mut command = assay();
    command.args(["ingest", "pay", "-"]).env("ASSAY_URL", &setting.server.url).env("ASSAY_KEY", &setting.server.key);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut pipe = child.stdin.take().unwrap();
    for number in 1..=3 {
        writeln!(pipe, "{}", event("live", number)).unwrap();
        setting.counted("live", number as u64);
    }
    drop(pipe);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && text(&output).starts_with("3 events accepted"), "{}", text(&output));
}

#[test]
fn a_request_that_is_too_large_for_the_server_is_halved() {
    let setting = Setting::with(&[("ASSAY_SERVER__MAX_EVENTS", "300")]);
    let lines: String = (1..=1000).map(|number| event("many", number) + "\n").collect();
    let output = setting.ingest(&setting.file("many.jsonl", lines.as_bytes()));
    assert!(output.status.success() && text(&output).starts_with("1000 events accepted"), "{}", text(&output));
    setting.counted("many", 1000);
}
