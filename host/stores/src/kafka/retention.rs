//! How long topics keep their records, as their settings say; asked of the cluster at most once a minute.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use assay_core::retention::Limits;
use assay_engine::ports::StoreError;

use super::admin::Admin;

/// For how long an answer is taken for true.
const FRESH: Duration = Duration::from_secs(60);

/// How long a topic keeps its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Retention {
    /// Older records may be deleted.
    pub(super) max_age: Option<Duration>,
    /// The oldest records may be deleted while a partition has more bytes.
    pub(super) max_bytes: Option<u64>,
}

impl Retention {
    /// What `cleanup.policy`, `retention.ms` and `retention.bytes` say. A topic that is only compacted deletes nothing
    /// by age or size.
    fn of(policy: Option<&str>, ms: Option<&str>, bytes: Option<&str>) -> Self {
        if !policy.unwrap_or("delete").split(',').any(|policy| policy.trim() == "delete") {
            return Self::default();
        }
        // No limit is -1.
        let limit = |text: Option<&str>| text?.trim().parse::<u64>().ok();
        Self { max_age: limit(ms).map(Duration::from_millis), max_bytes: limit(bytes) }
    }
}

/// The settings of a new topic that a stream's limits make: age and size of a partition, as far as they are said.
pub(super) fn settings_of(limits: Limits, partitions: u32) -> [Option<String>; 2] {
    let said = |is_said: bool, limit: Option<String>| is_said.then(|| limit.unwrap_or_else(|| "-1".to_owned()));
    let age = limits.max_age().map(|age| age.to_string());
    let size = limits.max_bytes(partitions).map(|bytes| bytes.to_string());
    [said(limits.age.is_some(), age), said(limits.size.is_some(), size)]
}

/// How long topics keep their records.
#[derive(Default)]
pub(super) struct Retentions(Mutex<HashMap<Arc<str>, (Instant, Retention)>>);

impl Retentions {
    /// How long a topic keeps its records, as of a minute ago at most.
    pub(super) fn get(&self, topic: &Arc<str>, admin: &Admin) -> Result<Retention, StoreError> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(topic).copied();
        if let Some((asked, retention)) = known
            && asked.elapsed() < FRESH
        {
            return Ok(retention);
        }
        let [policy, ms, bytes] = admin.settings(topic, ["cleanup.policy", "retention.ms", "retention.bytes"])?;
        let retention = Retention::of(policy.as_deref(), ms.as_deref(), bytes.as_deref());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.clone(), (Instant::now(), retention));
        Ok(retention)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_topic_keeps_what_its_stream_says() {
        let of = |json: &str| settings_of(serde_json::from_str(json).unwrap(), 4);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(of("{}"), [None, None]);
        assert_eq!(of(r#"{ "age": "1h", "size": "4KiB" }"#), [some("3600000"), some("1024")]);
        assert_eq!(of(r#"{ "age": "0s", "size": "0B" }"#), [some("-1"), some("-1")]);
    }

    #[test]
    fn settings_are_read_as_brokers_mean_them() {
        let week = Some(Duration::from_secs(7 * 86_400));
        let of = |policy, ms, bytes| {
            let Retention { max_age, max_bytes } = Retention::of(policy, ms, bytes);
            (max_age, max_bytes)
        };
        assert_eq!(of(Some("delete"), Some("604800000"), Some("-1")), (week, None));
        assert_eq!(of(Some("compact,delete"), Some("-1"), Some("1000")), (None, Some(1000)));
        assert_eq!(of(Some("compact"), Some("604800000"), Some("1000")), (None, None));
        assert_eq!(of(None, Some("604800000"), None), (week, None));
    }
}
