//! A server and a folder in which the scenarios run: packs, plugins, files of events.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::support::{Server, assay, pack, plugins, with_version};

const STREAM: &str = "stream: counts
key: k
time: t
partitions: 1
schema:
  type: record
  name: S
  fields:
    - { name: k, type: string }
    - { name: n, type: long }
    - { name: t, type: { type: long, logicalType: timestamp-millis } }
";
/// It fails on events whose number is 0.
const RULE: &str = "rule: inverse\nstream: counts\nscore: 1.0 / double(n)\n";
const GONE: &str = "rule: gone\nstream: counts\nscore: n\n";
const DISTRIBUTED: &str = "[stores]\nmode = \"distributed\"\n[kafka]\npartitioner = \"xxh3\"\n";

pub(crate) struct Setting {
    pub(crate) server: Server,
    dir: tempfile::TempDir,
}

impl Setting {
    /// A server with what the scenarios need.
    pub(crate) fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("data"), None, &[]);
        let setting = Self { server, dir };
        setting.write("assay.toml", "[engine]\nworkers = 3\n");
        setting.write("distributed.toml", DISTRIBUTED);
        setting.write("key", &format!("{}\n", setting.server.key));
        for (pack, rules) in [("counts", &[RULE, GONE][..]), ("fewer", &[RULE])] {
            setting.write(&format!("{pack}/streams/counts.yaml"), STREAM);
            for (number, rule) in rules.iter().enumerate() {
                setting.write(&format!("{pack}/rules/{number}.yaml"), rule);
            }
        }
        setting.write("counts.csv", "k,n,t\na,0,1767600000000\nb,2,1767600001000\nc,many,1767600002000\n");
        // A scenario replaces it; others only need it to be there.
        setting.write("payments.jsonl", "{}\n");
        let velocity = fs::read(plugins().join("velocity.wasm")).unwrap();
        fs::write(setting.path("velocity-1.1.wasm"), with_version(&velocity, "1.0.0", "1.1.0")).unwrap();
        setting
    }

    /// As `start`: what is tried needs no server, but its lines name the same files.
    pub(crate) fn new() -> Self {
        Self::start()
    }

    fn path(&self, file: &str) -> PathBuf {
        self.dir.path().join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let file = self.path(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    /// A word of a scenario, with the names in braces filled in.
    fn fill(&self, word: &str) -> String {
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        word.replace("{dir}", &shown(self.dir.path()))
            .replace("{pack}", &shown(&pack("payments")))
            .replace("{plugins}", &shown(&plugins()))
            .replace("{url}", &self.server.url)
            .replace("{key}", &self.server.key)
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        self.command_of_words(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn command_of_words(&self, words: &[String]) -> Command {
        let mut command = assay();
        command.args(words.iter().map(|word| self.fill(word))).current_dir(self.dir.path());
        command.env("ASSAY_URL", &self.server.url);
        // A key in a file counts more than one in the environment.
        let is_in_file = words.iter().any(|word| word == "--key-file");
        command.env("ASSAY_KEY", if is_in_file { "no-such-key" } else { &self.server.key });
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    pub(crate) fn run_words(&self, words: &[String]) -> Output {
        self.command_of_words(words).output().unwrap()
    }

    /// Runs a command that must succeed.
    #[track_caller]
    pub(crate) fn run_well(&self, line: &str) {
        let output = self.run(line);
        assert!(output.status.success(), "assay {line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Waits until all events are scored and all stores have what came of them. Asked twice: a store that had nothing to
    /// do may have been asked before the scoring ended.
    pub(crate) fn wait_for_sinks(&self) {
        for _ in 0..2 {
            self.server.until("/readyz", |_, answer| {
                let mut parts = answer["parts"].as_array().into_iter().flatten();
                answer["ready"] == true && parts.all(|part| part["ok"] == true && part["lag"] == 0)
            });
        }
    }
}
