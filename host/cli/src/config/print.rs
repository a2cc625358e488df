//! Prints the config as a TOML file, with a comment on each key.

use anyhow::{Context, Result};

use super::Config;
use super::secret::{mask_properties, mask_urls};

/// The comment on each key. A test checks that every key has one.
const MEANINGS: &[(&str, &str)] = &[
    ("server.listen", "address and port to listen on; port 0: any free one, which the server prints"),
    (
        "server.health_listen",
        "a second listener with /healthz, /readyz and /metrics, without keys, such as 127.0.0.1:7718; empty: none",
    ),
    ("server.max_body_mib", "the largest body of events, uncompressed"),
    ("server.max_events", "events per request"),
    ("server.max_in_flight_mib", "memory for the bodies of all requests"),
    ("server.max_answers_mib", "memory for the verdicts in all answers to ?wait=verdicts"),
    ("server.max_connections", "beyond it idle connections are closed for new ones, those without a key first"),
    (
        "server.max_keyless_per_address",
        "connections per address without an accepted key; beyond it the oldest idle one is closed",
    ),
    ("server.keyless_timeout", "how long a connection without an accepted key may be idle"),
    ("server.max_live_clients", "clients that read live verdicts"),
    ("server.head_timeout", "for a request's head, and between two requests of a connection"),
    ("server.body_timeout", "for a request's body"),
    ("server.max_wait", "the longest timeout of ?wait=verdicts"),
    ("cors.origins", "origins whose pages may send requests, such as https://example.com; *: all; empty: none"),
    ("server.drain", "how long requests in flight may take after SIGTERM"),
    ("data.dir", "store/ is the database, plugins/ the compiled plugins"),
    ("data.cache_mib", "memory of the block cache"),
    ("stores.mode", "embedded: everything in the data folder; distributed: on the servers of the sections below"),
    ("kafka.brokers", "addresses to begin with, separated by commas"),
    ("kafka.group", "the consumer group; all processes of one Assay have the same"),
    (
        "kafka.partitioner",
        "the partitioner of your producers: murmur2 (Java clients), crc32 (librdkafka's default) or xxh3",
    ),
    ("kafka.replication", "copies of topics that Assay makes; 3 in production"),
    ("kafka.session_timeout", "after so long without a sign of life a process loses its partitions"),
    ("kafka.schema_registry", "URL of a Confluent schema registry; empty: Assay's own, at /registry"),
    ("kafka.schema_registry_file", "a file that holds the URL, with user and password"),
    ("kafka.user", "the user for SASL; empty: as in the properties"),
    ("kafka.password", "better: password_file, or the variable ASSAY_KAFKA__PASSWORD"),
    ("kafka.password_file", "a file that holds the password"),
    ("kafka.publish", "publish verdicts and dead letters to the topics TOPIC.verdicts and TOPIC.dead-letters"),
    ("mongodb.uri", "connection string; empty: mongodb://127.0.0.1:27017. With a password better as uri_file"),
    ("mongodb.uri_file", "a file that holds the connection string"),
    ("mongodb.database", "holds the catalog, profiles and dead letters"),
    ("scylladb.nodes", "addresses to begin with, separated by commas"),
    ("scylladb.keyspace", "holds state and archive; created if it does not exist"),
    ("scylladb.replication", "copies of a keyspace that Assay makes; 3 in production"),
    ("scylladb.incarnation", "raise it by one when topics were deleted and made again"),
    ("scylladb.user", "empty: no authentication"),
    ("scylladb.password", "better: password_file, or the variable ASSAY_SCYLLADB__PASSWORD"),
    ("scylladb.password_file", "a file that holds the password"),
    ("scylladb.archive_for", "how long the archive is kept; 0us: for ever"),
    ("influxdb.url", "empty: no time series"),
    ("influxdb.org", "organization"),
    ("influxdb.bucket", "bucket"),
    ("influxdb.token", "better: token_file, or the variable ASSAY_INFLUXDB__TOKEN"),
    ("influxdb.token_file", "a file that holds the token"),
    ("influxdb.metrics_every", "the interval at which this process's metrics are written as points; 0us: never"),
    ("dgraph.url", "an alpha's HTTP port; empty: no graph, edges are in the verdicts only"),
    ("dgraph.token", "better: token_file, or the variable ASSAY_DGRAPH__TOKEN; empty: none"),
    ("dgraph.token_file", "a file that holds the token"),
    ("dgraph.namespace", "separates several Assays on one Dgraph"),
    ("retention.events_age", "events that were stored longer ago are deleted, such as 30d; 0s: never"),
    ("retention.events_size", "the oldest events of a larger stream are deleted, such as 10GiB; 0B: never"),
    ("retention.verdicts_age", "the same for verdicts"),
    ("retention.verdicts_size", "the same for verdicts"),
    ("engine.sinks", "the sinks of this process; empty: all"),
    ("engine.workers", "scoring threads; 0: one per core"),
    ("engine.partitions", "default for new streams; the number of a stream is fixed once it is made"),
    ("engine.batch_rows", "the largest batch, in events"),
    (
        "engine.checkpoint_every",
        "interval of checkpoints; after a crash, events after the last checkpoint are folded again",
    ),
    ("engine.entities_in_memory", "per partition; others are saved, dropped from memory and loaded when needed"),
    (
        "engine.derive_wait",
        "a derived stream waits so long for a partition of its source without events, then goes on without it",
    ),
    (
        "engine.breaker_failures",
        "a rule is paused when its plugin fails this often within a minute, and nearly always; 0: never",
    ),
    (
        "engine.breaker_share",
        "a rule is paused when its plugin takes this share of a worker by calls that run out of time or are too slow; 0: never",
    ),
    ("engine.max_unscored_events", "waiting events per partition; beyond it requests get 503; 0: no limit"),
    ("engine.max_unscored_mib", "the same by the size of the waiting events; 0: no limit"),
    ("engine.max_unscored_age", "the same by the age of the oldest waiting event; 0us: no limit"),
    ("plugins.max_size_mib", "the largest upload"),
    ("plugins.time_per_event", "CPU time per event on average; a single event may take 10 ms, or this if it is more"),
    ("plugins.memory_mib", "memory of an instance"),
    ("plugins.state_bytes", "state per entity and rule"),
    ("plugins.compile_time", "CPU time to compile an upload, in a process of its own"),
    ("plugins.compile_memory_mib", "memory of that process"),
    ("log.level", "error, warn, info, debug, trace, or a filter such as info,assay_engine=debug"),
    ("log.format", "text or json; logs go to stderr"),
];

/// The config as TOML with comments. Secrets are masked.
///
/// # Errors
/// A path in it is not UTF-8.
pub(super) fn print_with_comments(config: &Config) -> Result<String> {
    let mut config = config.clone();
    mask_properties(&mut config.kafka.properties);
    let plain = toml::to_string_pretty(&config).context("the config cannot be written as TOML")?;
    let mut section = "";
    let mut text = String::new();
    for line in plain.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name;
        } else if let Some((key, _)) = line.split_once(" = ")
            && let Some(meaning) = meaning_of(section, key)
        {
            text.push_str(&format!("# {meaning}\n"));
        }
        text.push_str(&mask_urls(line));
        text.push('\n');
    }
    Ok(text)
}

fn meaning_of(section: &str, key: &str) -> Option<&'static str> {
    let is_it = |name: &str| name.split_once('.') == Some((section, key));
    MEANINGS.iter().find(|(name, _)| is_it(name)).map(|(_, meaning)| *meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_explained_and_nothing_else() {
        let config = Config::default();
        let printed = print_with_comments(&config).unwrap();
        let keys = printed.lines().filter(|line| line.contains(" = ")).count();
        let explained = printed.lines().filter(|line| line.starts_with("# ")).count();
        assert_eq!((keys, explained), (MEANINGS.len(), MEANINGS.len()), "{printed}");
        assert_eq!(toml::from_str::<Config>(&printed).unwrap(), config);
    }

    /// The default config with a text for one key; none: the key takes no text.
    fn with_text(name: &str, text: &str) -> Option<Config> {
        let (section, key) = name.split_once('.').unwrap();
        let mut table = toml::Table::try_from(Config::default()).unwrap();
        table[section].as_table_mut().unwrap().insert(key.to_owned(), text.into());
        table.try_into().ok()
    }

    #[test]
    fn no_key_prints_a_secret() {
        const SECRET: &str = "Qx7Zk3Vt9";
        let url = format!("scheme://user:{SECRET}@host/path");
        let is_printed = |config: &Config| print_with_comments(config).unwrap().contains(SECRET);
        let mut secrets = Vec::new();
        for (name, _) in MEANINGS {
            if let Some(config) = with_text(name, &url) {
                assert!(!is_printed(&config), "{name} prints the password of a URL");
            }
            if with_text(name, SECRET).is_some_and(|config| !is_printed(&config)) {
                secrets.push(*name);
            }
        }
        let named_so = |name: &&str| ["password", "token", "secret", "uri"].iter().any(|end| name.ends_with(end));
        for name in MEANINGS.iter().map(|(name, _)| *name).filter(named_so) {
            assert!(secrets.contains(&name), "{name} is printed");
            assert!(MEANINGS.iter().any(|(other, _)| *other == format!("{name}_file")), "{name} has no file");
        }
        assert!(secrets.contains(&"kafka.schema_registry") && secrets.len() == 6, "{secrets:?}");
    }

    #[test]
    fn secrets_among_kafkas_properties_are_not_printed() {
        let secret = [
            "sasl.password",
            "ssl.key.password",
            "ssl.key.pem",
            "ssl.keystore.password",
            "sasl.oauthbearer.config",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.assertion.private.key.passphrase",
        ];
        let mut config = Config::default();
        for name in secret {
            config.kafka.properties.insert(name.to_owned(), "Qx7Z\nk3Vt9".to_owned());
        }
        config.kafka.properties.insert("ssl.key.location".to_owned(), "/etc/key.pem".to_owned());
        let printed = print_with_comments(&config).unwrap();
        assert!(!printed.contains("Qx7Z") && !printed.contains("k3Vt9"), "{printed}");
        assert!(printed.contains("/etc/key.pem") && printed.contains("sasl.password"), "{printed}");
    }
}
