//! What is judged by which rules: the payments pack with more of what faults could break, and how it changes on the way.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::load::PARTITIONS;
use crate::members::{ANSWER, POLL_INTERVAL};
use crate::support::{Server, pack, plugins};
use crate::ties;

/// How long a change is tried again and again, while members and stores come and go.
const CHANGE: Duration = Duration::from_secs(180);
/// All rules on payments.
pub(crate) const RULES: [&str; 6] = ["card_geo", "card_thresholds", "card_velocity", "payment_risk", "ties", "touchy"];

/// Points of each payment; the partitions are as many as `load` takes them to be.
const SERIES: &str = "
series:
  tags: [category, channel]
  fields: [amount, merchant]
";

/// About one payment in a hundred fails.
const TOUCHY: &str = "
rule: touchy
stream: payments
plugin: ties@1.0.0
inputs: { card: card, merchant: merchant, channel: channel, amount: amount }
config: { refuse: 97 }
";

/// The payments once more, by category.
const DERIVED: [(&str, &str); 3] = [
    (
        "streams/payments_by_category.yaml",
        "{ stream: payments_by_category, from: payments, key: category, partitions: 4 }",
    ),
    (
        "views/category_sales.yaml",
        "{ view: category_sales, stream: payments_by_category, by: [category], measures: { payments: count(), most: max(amount) } }",
    ),
    (
        "rules/category_payments.yaml",
        "{ rule: category_payments, stream: payments_by_category, score: double(views.category_sales.payments) }",
    ),
];

/// The pack in a folder of this test, with the plugins.
pub(crate) struct Pack {
    dir: PathBuf,
    /// `ties` 1.1.0.
    next: Vec<u8>,
}

impl Pack {
    /// Copies the payments pack, adds to it, and builds its plugin in two versions.
    pub(crate) fn make(folder: &Path) -> Self {
        let dir = folder.join("pack");
        ties::add_to(&pack("payments"), &dir, "payments");
        let stream = dir.join("streams/payments.yaml");
        let text = std::fs::read_to_string(&stream).unwrap();
        std::fs::write(&stream, format!("{text}{SERIES}partitions: {PARTITIONS}\n")).unwrap();
        std::fs::write(dir.join("rules/touchy.yaml"), TOUCHY).unwrap();
        DERIVED.iter().for_each(|(file, text)| std::fs::write(dir.join(file), text).unwrap());
        Self { next: ties::build(folder, "1.1.0"), dir }
    }

    /// Applies the pack as it is at the beginning.
    pub(crate) fn apply(&self, server: &Server) {
        server.command(&[&"apply", &self.dir, &"--plugins", &plugins()]);
    }

    fn rule(&self, name: &str) -> Value {
        let text = std::fs::read_to_string(self.dir.join("rules").join(name).with_extension("yaml")).unwrap();
        serde_saphyr::from_str(&text).unwrap()
    }
}

/// A change of what is judged by which rules.
pub(crate) enum Change {
    /// Two rules at once: another config, another expression, other tags.
    Rules,
    /// A new version of a plugin with state, which a rule takes up by itself.
    Plugin,
}

impl Change {
    /// Makes it, through any server that is up; again, until one says that it is done.
    pub(crate) fn make(&self, pack: &Pack, mut any: impl FnMut() -> Option<Arc<Server>>) {
        let (path, kind, body) = match self {
            Self::Rules => ("/v1/changes", "application/json", rules_changed(pack).to_string().into_bytes()),
            Self::Plugin => ("/v1/plugins", "application/wasm", pack.next.clone()),
        };
        let deadline = Instant::now() + CHANGE;
        loop {
            let answer = any().map(|server| server.send_within(ANSWER * 4, "POST", path, Some((kind, &body))));
            if let Some(Ok((200 | 201, _))) = answer {
                return;
            }
            assert!(Instant::now() < deadline, "a change is refused: {answer:?}");
            std::thread::sleep(POLL_INTERVAL);
        }
    }

    /// Whether a verdict shows that its event was judged after the change; none: it tells nothing about that.
    pub(crate) fn is_made(&self, verdict: &Value) -> Option<bool> {
        match (self, verdict["rule"].as_str()?) {
            (Self::Rules, "payment_risk") => Some(verdict["revision"] == 2),
            (Self::Plugin, "ties") => Some(verdict["plugin"]["version"] == "1.1.0"),
            _ => None,
        }
    }
}

fn rules_changed(pack: &Pack) -> Value {
    let (mut velocity, mut risk) = (pack.rule("card_velocity"), pack.rule("payment_risk"));
    velocity["config"]["bias"] = json!(-5.0);
    risk["score"] = json!(risk["score"].as_str().unwrap().replace("0.8", "0.7"));
    risk["tags"] = json!({ "review": "score >= 0.4", "block": "score >= 0.9", "odd": "amount > 500.0" });
    let change = |name: &str, definition: Value| json!({ "kind": "rule", "name": name, "definition": definition });
    json!({ "changes": [change("card_velocity", velocity), change("payment_risk", risk)] })
}
