//! Apache Cassandra, one node, with CQL like ScyllaDB.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::java::{self, java};
use super::server::{JAVA, MAVEN, Place, Program, Server, Tool};
use super::steps::Steps;

pub(super) struct Cassandra;

impl Server for Cassandra {
    fn name(&self) -> &'static str {
        "cassandra"
    }

    fn package(&self) -> &'static str {
        "cassandra-5.0.6"
    }

    fn needs(&self) -> &'static [Tool] {
        &[JAVA, MAVEN]
    }

    fn install(&self, into: &Path, work: &Path, steps: &Steps) -> Result<()> {
        java::install(include_str!("recipes/cassandra/pom.xml"), into, work, steps)
    }

    fn ports(&self) -> &'static [u16] {
        &[0, 1]
    }

    fn programs(&self, place: &Place) -> Result<Vec<Program>> {
        let write = |name: &str, text: &str| -> Result<String> {
            let file = place.folder.join(name);
            std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
            Ok(file.display().to_string())
        };
        let config = write("cassandra.yaml", &config(place))?;
        let logging = write("logback.xml", include_str!("recipes/cassandra/logback.xml"))?;
        let mut command = java(&place.installed);
        command.args(["-Xms256m", "-Xmx768m"]);
        // What of Java's inside Cassandra needs: the --add-exports and --add-opens of its own jvm17-server.options.
        command.args(include_str!("recipes/cassandra/jvm.options").lines());
        command.arg(format!("-Dcassandra.config=file://{config}"));
        command.arg(format!("-Dlogback.configurationFile={logging}"));
        command.arg(format!("-Dcassandra.storagedir={}", place.folder.join("data").display()));
        // There is nobody to wait for.
        command.args(["-Dcassandra.ring_delay_ms=0", "-Dcassandra.skip_wait_for_gossip_to_settle=0"]);
        command.args(["-Dcassandra-foreground=yes", "org.apache.cassandra.service.CassandraDaemon"]);
        Ok(vec![Program { name: "cassandra", command }])
    }

    fn check_answers(&self, place: &Place) -> Result<()> {
        const TIMEOUT: Duration = Duration::from_secs(2);
        // The CQL protocol, version 4: an OPTIONS request (5), answered by SUPPORTED (6).
        const OPTIONS: &[u8] = b"\x04\0\0\0\x05\0\0\0\0";
        let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], place.ports[0]).into(), TIMEOUT)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.write_all(OPTIONS)?;
        let mut answer = [0; 9];
        stream.read_exact(&mut answer).context("no answer to an OPTIONS request")?;
        ensure!(answer[4] == 6, "an OPTIONS request was answered by opcode {}", answer[4]);
        Ok(())
    }

    fn variables(&self, ports: &[u16]) -> Vec<(&'static str, String)> {
        vec![("ASSAY_TEST_CASSANDRA", format!("127.0.0.1:{}", ports[0]))]
    }
}

/// Dropped tables leave no snapshots, because tests drop many. Acknowledged writes are on disk (`group`): with the
/// default,
/// `periodic`, a killed single node loses the writes of its last moments, which no client can notice.
fn config(place: &Place) -> String {
    let (client, storage) = (place.ports[0], place.ports[1]);
    let data = place.folder.join("data").display().to_string();
    format!(
        r#"cluster_name: assay
num_tokens: 1
partitioner: org.apache.cassandra.dht.Murmur3Partitioner
data_file_directories: ["{data}/data"]
commitlog_directory: "{data}/commitlog"
saved_caches_directory: "{data}/saved_caches"
hints_directory: "{data}/hints"
cdc_raw_directory: "{data}/cdc_raw"
commitlog_sync: group
commitlog_sync_group_window: 5ms
commitlog_segment_size: 16MiB
auto_snapshot: false
listen_address: 127.0.0.1
rpc_address: 127.0.0.1
native_transport_port: {client}
storage_port: {storage}
endpoint_snitch: SimpleSnitch
seed_provider:
  - class_name: org.apache.cassandra.locator.SimpleSeedProvider
    parameters: [{{seeds: "127.0.0.1:{storage}"}}]
"#
    )
}
