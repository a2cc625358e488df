//! Reads the last record of a partition. A writer that puts its position into its records finds it there.

use std::time::{Duration, Instant};

use assay_engine::ports::StoreError;
use rdkafka::config::FromClientConfigAndContext as _;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers as _, Message as _, OwnedMessage};
use rdkafka::{ClientConfig, Offset as KafkaOffset, TopicPartitionList};

use super::client::LoggingContext;
use super::error::{failed, unavailable};

/// Reads the last record of a partition; none if it is empty.
pub(super) fn read_last_record(
    settings: &ClientConfig,
    topic: &str,
    partition: i32,
    timeout: Duration,
) -> Result<Option<OwnedMessage>, StoreError> {
    let doing = || format!("reading the last record of {topic}/{partition}");
    let to_store_error = |error: KafkaError| failed(doing(), &error);
    let consumer = BaseConsumer::from_config_and_context(settings, LoggingContext).map_err(to_store_error)?;
    let (low, high) = consumer.fetch_watermarks(topic, partition, timeout).map_err(to_store_error)?;
    // The last offsets can be transaction markers or compacted records, so the search goes back in growing steps.
    let mut back = 1;
    loop {
        let from = (high - back).max(low);
        if from >= high {
            return Ok(None);
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, KafkaOffset::Offset(from)).map_err(to_store_error)?;
        consumer.assign(&list).map_err(to_store_error)?;
        if let Some(found) = read_until_end(&consumer, timeout, &doing)? {
            return Ok(Some(found));
        }
        if from == low {
            return Ok(None);
        }
        back *= 8;
    }
}

fn read_until_end(
    consumer: &BaseConsumer<LoggingContext>,
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

/// The text of a header; none if it is missing or no UTF-8.
pub(super) fn header_text<'a>(message: &'a OwnedMessage, name: &str) -> Option<&'a str> {
    let header = message.headers()?.iter().find(|header| header.key == name)?;
    std::str::from_utf8(header.value?).ok()
}
