//! The last record of a partition, of whatever is in it: how far somebody has come who writes it down there.

use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _, OwnedMessage};
use rdkafka::{ClientConfig, Offset as KafkaOffset, TopicPartitionList};

use super::client::Logged;
use super::error::{failed, unavailable};

/// The last record of a partition; none: it is empty.
pub(super) fn last_record(
    settings: &ClientConfig,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> Result<Option<OwnedMessage>, StoreError> {
    let doing = || format!("reading the last record of {topic}/{partition}");
    let translated = |error: KafkaError| failed(doing(), &error);
    let consumer = BaseConsumer::from_config_and_context(settings, Logged).map_err(translated)?;
    let (low, high) = consumer.fetch_watermarks(topic, partition, timeout).map_err(translated)?;
    // The last offsets can be those of transaction markers, or of what compaction has removed.
    let mut back = 1;
    loop {
        let from = (high - back).max(low);
        if from >= high {
            return Ok(None);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, KafkaOffset::Offset(from)).map_err(translated)?;
        consumer.assign(&list).map_err(translated)?;
        if let Some(found) = last_until_end(&consumer, timeout, &doing)? {
            return Ok(Some(found));
        }
        if from == low {
            return Ok(None);
        }
        back *= 8;
    }
}

fn last_until_end(
    consumer: &BaseConsumer<Logged>,
    timeout: Duration,
    doing: &impl Fn() -> String,
) -> Result<Option<OwnedMessage>, StoreError> {
    let deadline = Instant::now() + timeout;
    let mut last = None;
    loop {
        match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => last = Some(message.detach()),
            Some(Err(KafkaError::PartitionEOF(_))) => return Ok(last),
            Some(Err(error)) => tracing::warn!(%error, "{}", doing()),
            None if Instant::now() >= deadline => return Err(unavailable(format!("{}: no answer in time", doing()))),
            None => {}
        }
    }
}

/// A header's text.
pub(super) fn header<'a>(message: &'a OwnedMessage, name: &str) -> Option<&'a str> {
    let header = message.headers()?.iter().find(|header| header.key == name)?;
    std::str::from_utf8(header.value?).ok()
}
