//! Apache Kafka, one node in KRaft mode: the Kafka protocol, as Redpanda and Kafka speak it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::java::{self, java};
use super::server::{JAVA, MAVEN, Place, Program, Server, Tool};
use super::steps::Steps;

/// Any id will do: there is one node.
const CLUSTER: &str = "YXNzYXktdGVzdC1rYWZrYQ";

pub(super) struct Kafka;

impl Server for Kafka {
    fn name(&self) -> &'static str {
        "kafka"
    }

    fn package(&self) -> &'static str {
        "kafka-4.1.1"
    }

    fn needs(&self) -> &'static [Tool] {
        &[JAVA, MAVEN]
    }

    fn install(&self, into: &Path, work: &Path, steps: &Steps) -> Result<()> {
        java::install(include_str!("recipes/kafka/pom.xml"), into, work, steps)
    }

    fn ports(&self) -> &'static [u16] {
        &[0, 1]
    }

    fn programs(&self, place: &Place) -> Result<Vec<Program>> {
        let data = place.folder.join("data");
        let config = place.folder.join("server.properties");
        std::fs::write(&config, properties(place, &data))
            .with_context(|| format!("cannot write {}", config.display()))?;
        if !data.join("meta.properties").exists() {
            format(place, &config)?;
        }
        let mut command = java(&place.installed);
        command.args(["-Xms256m", "-Xmx512m", "-Dorg.slf4j.simpleLogger.showDateTime=true"]);
        command.args(["-XX:+ExitOnOutOfMemoryError", "kafka.Kafka"]).arg(config);
        Ok(vec![Program { name: "kafka", command }])
    }

    fn check_answers(&self, place: &Place) -> Result<()> {
        let brokers = ask_brokers(place.ports[0])?;
        ensure!(brokers > 0, "the broker is not registered yet");
        Ok(())
    }

    fn variables(&self, ports: &[u16]) -> Vec<(&'static str, String)> {
        vec![("ASSAY_TEST_KAFKA", format!("127.0.0.1:{}", ports[0]))]
    }
}

/// Topics are made by who needs them, and a group's members may be declared dead after a second: tests wait for that.
fn properties(place: &Place, data: &Path) -> String {
    let (client, controller) = (place.ports[0], place.ports[1]);
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{client},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{client}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={}
num.partitions=1
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
",
        data.display()
    )
}

/// Makes the data folder.
fn format(place: &Place, config: &Path) -> Result<()> {
    let mut command: Command = java(&place.installed);
    command.args(["kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c"]).arg(config);
    let output = command.output().context("cannot run java")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "Kafka cannot make its data folder ({}): {said}", output.status);
    Ok(())
}

/// How many brokers a Metadata request (version 1, no topics) shows. Kafka's port opens before the broker serves.
fn ask_brokers(port: u16) -> Result<u32> {
    const TIMEOUT: Duration = Duration::from_secs(2);
    // Length; API 3, version 1; correlation id; client id; an empty list of topics.
    const REQUEST: &[u8] = b"\0\0\0\x13\0\x03\0\x01\0\0\0\x01\0\x05assay\0\0\0\0";
    let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(REQUEST)?;
    // Length, correlation id, number of brokers.
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).context("no answer to a metadata request")?;
    Ok(u32::from_be_bytes([answer[8], answer[9], answer[10], answer[11]]))
}
