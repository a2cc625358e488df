//! The interface of a server to these tasks: install, configuration, readiness check, variables for tests.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::steps::Steps;
use super::{cassandra, dgraph, influxdb, kafka, mongodb};

/// A real server of one protocol. Every server listens on 127.0.0.1 only.
pub(super) trait Server {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// The product and its version: the name of its folder in the cache. A changed recipe needs another name.
    fn package(&self) -> &'static str;

    /// The programs that are required to install and to run it.
    fn needs(&self) -> &'static [Tool];

    /// Installs into `into`, an empty folder. What is only needed on the way goes to `work`.
    fn install(&self, into: &Path, work: &Path, steps: &Steps) -> Result<()>;

    /// Its ports, as distances from the first one, which is the one that clients use unless `variables` says otherwise.
    fn ports(&self) -> &'static [u16];

    /// Writes its configuration, and returns its programs in the order in which to start them.
    fn programs(&self, place: &Place) -> Result<Vec<Program>>;

    /// Asks once whether it serves clients. Does what is to be done once after the first start; doing it again is fine.
    fn check_answers(&self, place: &Place) -> Result<()>;

    /// The variables by which tests find it; the first one holds its address.
    fn variables(&self, ports: &[u16]) -> Vec<(&'static str, String)>;

    /// Data that it keeps outside of its run folder: deleted with it.
    fn data_elsewhere(&self, _folder: &Path) -> Option<PathBuf> {
        None
    }
}

/// The folders and ports of a server of one checkout.
pub(super) struct Place {
    /// Its files in the cache; shared with other checkouts, never written to.
    pub(super) installed: PathBuf,
    /// Its run folder: configuration, data and logs.
    pub(super) folder: PathBuf,
    /// Its ports on 127.0.0.1, in the order of [`Server::ports`].
    pub(super) ports: Vec<u16>,
}

/// One process of a server.
pub(super) struct Program {
    /// Names its log file.
    pub(super) name: &'static str,
    pub(super) command: Command,
}

/// A required program.
pub(super) struct Tool {
    pub(super) program: &'static str,
    /// The package to install for it.
    pub(super) advice: &'static str,
}

pub(super) const JAVA: Tool =
    Tool { program: "java", advice: "a Java 17 runtime (on Debian: apt-get install openjdk-17-jre-headless)" };
pub(super) const MAVEN: Tool = Tool { program: "mvn", advice: "Maven (on Debian: apt-get install maven)" };
pub(super) const GO: Tool = Tool { program: "go", advice: "Go 1.24.3 or newer (on Debian: apt-get install golang-go)" };
pub(super) const CC: Tool = Tool { program: "cc", advice: "a C compiler (on Debian: apt-get install gcc libc6-dev)" };
pub(super) const CARGO: Tool = Tool { program: "cargo", advice: "Rust (rustup, or on Debian: apt-get install cargo)" };

/// The names of all servers, in the order in which they are brought up: the quickest to install first.
pub(super) const NAMES: [&str; 5] = ["kafka", "cassandra", "mongodb", "dgraph", "influxdb"];

/// The servers with these names, or all if there are none, in the order of [`NAMES`].
pub(super) fn choose(names: &[String]) -> Vec<&'static dyn Server> {
    const ALL: [&dyn Server; 5] =
        [&kafka::Kafka, &cassandra::Cassandra, &mongodb::MongoDb, &dgraph::Dgraph, &influxdb::InfluxDb];
    ALL.into_iter().filter(|server| names.is_empty() || names.iter().any(|name| name == server.name())).collect()
}
