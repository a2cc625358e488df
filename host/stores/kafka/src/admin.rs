//! Creates topics and reads their metadata and settings.

use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::error::{KafkaResult, RDKafkaErrorCode};
use rdkafka::types::RDKafkaRespErr;

use super::client::{self, LoggingContext};
use super::config::Config;
use super::error::{failed, failed_with, unavailable};

/// The interval of polling until brokers show a new topic.
const SHOWN_POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A topic to create.
pub(super) struct TopicSpec<'a> {
    pub(super) topic: &'a str,
    pub(super) partitions: u32,
    pub(super) settings: &'a [(&'a str, &'a str)],
}

/// Creates topics and reads their metadata and settings. Its calls block.
pub(super) struct Admin {
    client: AdminClient<LoggingContext>,
    runtime: tokio::runtime::Runtime,
    timeout: Duration,
}

impl Admin {
    pub(super) fn open(config: &Config) -> Result<Self, StoreError> {
        let client = AdminClient::from_config_and_context(&client::admin_settings(config), LoggingContext)
            .map_err(|error| failed("making a client", &error))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .map_err(|error| unavailable(format!("making a client: {error}")))?;
        Ok(Self { client, runtime, timeout: config.request_timeout })
    }

    /// The number of a topic's partitions, 0 while it is being created; none if there is no such topic.
    pub(super) fn find_partitions(&self, topic: &str) -> Result<Option<u32>, StoreError> {
        let doing = || format!("looking for the topic '{topic}'");
        let metadata = self.client.inner().fetch_metadata(Some(topic), self.timeout);
        let metadata = metadata.map_err(|error| failed(doing(), &error))?;
        let Some(topic_metadata) = metadata.topics().iter().find(|topic_metadata| topic_metadata.name() == topic)
        else {
            return Ok(None);
        };
        match topic_metadata.error() {
            // Without a leader a partition cannot be used yet.
            None if topic_metadata.partitions().iter().any(|partition| partition.leader() < 0) => Ok(Some(0)),
            None => Ok(Some(topic_metadata.partitions().len() as u32)),
            Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) => Ok(None),
            // A topic that is being created has no leaders yet.
            Some(RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) => Ok(Some(0)),
            Some(error) => {
                let code = RDKafkaErrorCode::from(error);
                Err(failed_with(doing(), Some(code), &code))
            }
        }
    }

    /// Creates a topic; one that another process created meanwhile is fine. Returns the number of partitions that brokers
    /// show. Settings in [`Config::topic_properties`] win.
    pub(super) fn create(&self, spec: &TopicSpec<'_>, config: &Config) -> Result<u32, StoreError> {
        let TopicSpec { topic, partitions, settings } = *spec;
        let doing = || format!("making the topic '{topic}'");
        let replication = TopicReplication::Fixed(config.replication_factor);
        // The caller has checked that there are at most 4,096.
        let mut new = NewTopic::new(topic, partitions as i32, replication);
        for (name, value) in settings {
            if !config.topic_properties.contains_key(*name) {
                new = new.set(name, value);
            }
        }
        for (name, value) in &config.topic_properties {
            new = new.set(name, value);
        }
        let results = self.wait(self.client.create_topics([&new], &self.options()));
        for result in results.map_err(|error| failed(doing(), &error))? {
            match result {
                Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
                Err((_, code)) => return Err(failed_with(doing(), Some(code), &code)),
            }
        }
        tracing::info!(topic, partitions, "made a topic");
        self.wait_until_shown(topic, partitions)
    }

    /// Waits until brokers show a new topic: each learns of it at its own time, and refuses writes before that.
    pub(super) fn wait_until_shown(&self, topic: &str, partitions: u32) -> Result<u32, StoreError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            let shown = self.find_partitions(topic)?.unwrap_or(0);
            if shown >= partitions || Instant::now() >= deadline {
                return Ok(shown);
            }
            std::thread::sleep(SHOWN_POLL_INTERVAL);
        }
    }

    /// Reads settings of a topic, in the order of `names`.
    pub(super) fn read_settings<const N: usize>(
        &self,
        topic: &str,
        names: [&str; N],
    ) -> Result<[Option<String>; N], StoreError> {
        let doing = || format!("reading the settings of the topic '{topic}'");
        let described = self.wait(self.client.describe_configs([&ResourceSpecifier::Topic(topic)], &self.options()));
        // The request names one topic, so there is one answer.
        let Some(resource) = described.map_err(|error| failed(doing(), &error))?.pop() else {
            return Err(unavailable(format!("{}: no answer", doing())));
        };
        let resource = resource.map_err(|code| failed_with(doing(), Some(code), &code))?;
        Ok(names.map(|name| resource.get(name)?.value.clone()))
    }

    fn options(&self) -> AdminOptions {
        AdminOptions::new().request_timeout(Some(self.timeout)).operation_timeout(Some(self.timeout))
    }

    fn wait<T>(&self, answer: impl Future<Output = KafkaResult<T>>) -> KafkaResult<T> {
        self.runtime.block_on(answer)
    }
}
