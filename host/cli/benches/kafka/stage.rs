//! The environment of a measurement: its own names on the servers, a pack, and the processes that score it.

use std::path::{Path, PathBuf};

use assay::generate::payments_schema;
use serde_json::{Value, json};

use crate::events::PARTITIONS;
use crate::stack::{KEY, Names};
use crate::support::{Server, pack, plugins};
use crate::topics;

/// Points of each payment.
const SERIES: &str = "
series:
  tags: [category, channel]
  fields: [amount, merchant]
";

/// The sinks of a process.
#[derive(Clone, Copy)]
pub(crate) enum Sinks {
    None,
    Only(&'static str),
    All,
}

/// The definitions of a measurement.
#[derive(Clone, Copy)]
pub(crate) enum Pack {
    /// A stream, a sliding view and the rule on the plugin `velocity`.
    Smallest,
    /// The payments pack, with points, and with a rule whose plugin keeps state and makes edges.
    Whole,
}

/// The environment of a measurement.
pub(crate) struct Stage {
    folder: PathBuf,
    pub(crate) names: Names,
    pack: PathBuf,
}

impl Stage {
    /// A new environment, with unused names.
    pub(crate) fn new(name: &str, folder: &Path, kind: Pack) -> Self {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let names = Names::new(name, &folder);
        let pack = match kind {
            Pack::Smallest => smallest(&folder, &names.stream),
            Pack::Whole => whole(&folder, &names),
        };
        Self { folder, names, pack }
    }

    /// The topic of the events.
    pub(crate) fn topic(&self) -> &str {
        &self.names.stream
    }

    /// The topic of the engine's verdict blocks.
    pub(crate) fn verdict_log(&self) -> String {
        format!("{}.assay-verdicts", self.topic())
    }

    /// The topic of published verdicts.
    pub(crate) fn published(&self) -> String {
        format!("{}.verdicts", self.topic())
    }

    /// Starts a process, with additional environment variables.
    pub(crate) fn start(&self, member: &str, sinks: Sinks, more: &[(&str, &str)]) -> Server {
        let own = |settings: &[(&str, String)]| -> Vec<(String, String)> {
            settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
        };
        let mut settings = self.names.settings.clone();
        settings.extend(match sinks {
            Sinks::All => Vec::new(),
            Sinks::Only(name) => own(&[("ASSAY_ENGINE__SINKS", format!("[\"{name}\"]"))]),
            // No sink: the only enabled one has no store.
            Sinks::None => {
                own(&[("ASSAY_ENGINE__SINKS", "[\"outbox\"]".to_owned()), ("ASSAY_KAFKA__PUBLISH", "false".to_owned())])
            }
        });
        let settings: Vec<(&str, &str)> =
            settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(more.iter().copied()).collect();
        Server::start(&self.folder.join(member), Some(KEY), &settings)
    }

    /// Applies the pack. Returns the id of the schema for producers.
    pub(crate) fn apply(&self, server: &Server) -> i32 {
        server.command(&[&"apply", &self.pack, &"--plugins", &plugins()]);
        let schema = json!({ "schema": payments_schema().unwrap().to_string() }).to_string();
        let path = format!("/registry/subjects/{}-value/versions", self.topic());
        let body = Some(("application/vnd.schemaregistry.v1+json", schema.as_bytes()));
        let (status, text) = server.send("POST", &path, body).unwrap();
        assert_eq!(status, 200, "{text}");
        let answer: Value = serde_json::from_str(&text).unwrap();
        answer["id"].as_i64().unwrap() as i32
    }

    /// Deletes its topics. Data in stores stays, as after tests.
    pub(crate) fn clear(&self) {
        let (verdict_log, published) = (self.verdict_log(), self.published());
        let letters = format!("{}.dead-letters", self.topic());
        topics::delete(&[self.topic(), &verdict_log, &published, &letters]);
    }
}

fn smallest(folder: &Path, stream: &str) -> PathBuf {
    let dir = folder.join("pack");
    for file in ["streams/payments.yaml", "views/card_spend.yaml", "rules/card_velocity.yaml"] {
        let text = std::fs::read_to_string(pack("payments").join(file)).unwrap();
        let mut text = text.replace("stream: payments\n", &format!("stream: {stream}\n"));
        if file.starts_with("streams") {
            text.push_str(&format!("\npartitions: {PARTITIONS}\n"));
        }
        let to = dir.join(file);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::write(to, text).unwrap();
    }
    dir
}

fn whole(folder: &Path, names: &Names) -> PathBuf {
    let dir = names.pack(folder);
    let stream = dir.join("streams/payments.yaml");
    let text = std::fs::read_to_string(&stream).unwrap();
    std::fs::write(stream, format!("{text}{SERIES}")).unwrap();
    dir
}
