//! The retention settings of topics, read from the cluster at most once a minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use assay_core::retention::Limits;
use assay_engine::ports::StoreError;

use super::admin::Admin;

/// The lifetime of a cached answer.
const MAX_CACHED_TIME: Duration = Duration::from_secs(60);

/// The retention of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Retention {
    /// Older records may be deleted.
    pub(super) max_age: Option<Duration>,
    /// The oldest records may be deleted while a partition has more bytes.
    pub(super) max_bytes: Option<u64>,
}

impl Retention {
    /// The retention of the settings `cleanup.policy`, `retention.ms` and `retention.bytes`. A topic that is only compacted
    /// deletes nothing by age or size.
    fn parse(policy: Option<&str>, ms: Option<&str>, bytes: Option<&str>) -> Self {
        if !policy.unwrap_or("delete").split(',').any(|policy| policy.trim() == "delete") {
            return Self::default();
        }
        // Kafka writes -1 for no limit.
        let limit = |text: Option<&str>| text?.trim().parse::<u64>().ok();
        Self { max_age: limit(ms).map(Duration::from_millis), max_bytes: limit(bytes) }
    }
}

/// The settings `retention.ms` and `retention.bytes` of a new topic; none for limits that the stream does not set.
pub(super) fn topic_settings(limits: Limits, partitions: u32) -> [Option<String>; 2] {
    let setting = |is_set: bool, limit: Option<String>| is_set.then(|| limit.unwrap_or_else(|| "-1".to_owned()));
    let age = limits.max_age().map(|age| age.to_string());
    let size = limits.max_bytes(partitions).map(|bytes| bytes.to_string());
    [setting(limits.age.is_some(), age), setting(limits.size.is_some(), size)]
}

/// A cache of the retention of topics.
#[derive(Default)]
pub(super) struct Retentions(Mutex<HashMap<Arc<str>, (Instant, Retention)>>);

impl Retentions {
    /// The retention of a topic, at most a minute old.
    pub(super) fn get(&self, topic: &Arc<str>, admin: &Admin) -> Result<Retention, StoreError> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied();
        if let Some((asked_at, retention)) = known
            && asked_at.elapsed() < MAX_CACHED_TIME
        {
            return Ok(retention);
        }
        let [policy, ms, bytes] = admin.read_settings(topic, ["cleanup.policy", "retention.ms", "retention.bytes"])?;
        let retention = Retention::parse(policy.as_deref(), ms.as_deref(), bytes.as_deref());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.clone(), (Instant::now(), retention));
        Ok(retention)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_topics_get_the_limits_of_their_stream() {
        let settings = |json: &str| topic_settings(serde_json::from_str(json).unwrap(), 4);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(settings("{}"), [None, None]);
        assert_eq!(settings(r#"{ "age": "1h", "size": "4KiB" }"#), [some("3600000"), some("1024")]);
        assert_eq!(settings(r#"{ "age": "0s", "size": "0B" }"#), [some("-1"), some("-1")]);
    }

    #[test]
    fn settings_are_parsed_as_brokers_interpret_them() {
        let week = Some(Duration::from_secs(7 * 86_400));
        let parse = |policy, ms, bytes| {
            let Retention { max_age, max_bytes } = Retention::parse(policy, ms, bytes);
            (max_age, max_bytes)
        };
        assert_eq!(parse(Some("delete"), Some("604800000"), Some("-1")), (week, None));
        assert_eq!(parse(Some("compact,delete"), Some("-1"), Some("1000")), (None, Some(1000)));
        assert_eq!(parse(Some("compact"), Some("604800000"), Some("1000")), (None, None));
        assert_eq!(parse(None, Some("604800000"), None), (week, None));
    }
}
