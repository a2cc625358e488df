//! The properties of the generator: fixed bytes, bounds, shares, and fraud that differs from habits.

use super::*;
use crate::generate::{Fraud, payments_schema, write_avro, write_json};
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value;
use std::collections::{BTreeSet, HashMap};

fn run(config: PaymentsConfig, count: usize) -> Vec<Payment> {
    Payments::new(&config).unwrap().take(count).collect()
}

fn small() -> PaymentsConfig {
    PaymentsConfig { cards: 2_000, rate_per_s: 2.0, ..PaymentsConfig::default() }
}

fn json(payment: &Payment) -> String {
    let mut out = Vec::new();
    write_json(payment, &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_same_config_gives_the_same_bytes_on_every_machine() {
    let mut lines = Vec::new();
    let config = PaymentsConfig { fraud_share: 0.05, ..small() };
    for payment in run(config, 20_000) {
        write_json(&payment, &mut lines);
        lines.push(b'\n');
    }
    let text = String::from_utf8(lines).unwrap();
    let first: Vec<&str> = text.lines().take(3).collect();
    assert_eq!(first, FIRST_LINES, "{first:#?}");
    let digest = text.bytes().fold(0, |digest, byte| mix_bits(digest ^ u64::from(byte)));
    assert_eq!(digest, DIGEST, "{digest:#x}");
}

const FIRST_LINES: [&str; 3] = [
    r#"{"id":"p-82d1fd-00000001","card":"card-000476","merchant":"restaurant-london-1","category":"restaurant","country":"GB","amount":13.40,"time":1767600000783,"lat":51.4856,"lon":-0.1077,"channel":"contactless","device":null}"#,
    r#"{"id":"p-82d1fd-00000002","card":"card-000860","merchant":"marketplace-web-13","category":"marketplace","country":"IN","amount":129.20,"time":1767600000997,"lat":28.5924,"lon":77.2502,"channel":"online","device":"device-000860"}"#,
    r#"{"id":"p-82d1fd-00000003","card":"card-001007","merchant":"restaurant-lyon-1","category":"restaurant","country":"FR","amount":24.62,"time":1767600001771,"lat":45.7252,"lon":4.8055,"channel":"contactless","device":null}"#,
];
const DIGEST: u64 = 0x8cb5_a72f_4a40_5cf5;

#[test]
fn another_seed_gives_other_payments_with_other_ids() {
    let one: BTreeSet<String> = run(small(), 1_000).iter().map(Payment::id).collect();
    let two: BTreeSet<String> = run(PaymentsConfig { seed: 2, ..small() }, 1_000).iter().map(Payment::id).collect();
    assert_eq!(one.len(), 1_000);
    assert!(one.is_disjoint(&two));
}

#[test]
fn json_and_avro_say_the_same() {
    let schema = apache_avro::Schema::parse(&payments_schema().unwrap()).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    for payment in run(PaymentsConfig { fraud_share: 0.1, ..small() }, 5_000) {
        let mut datum = Vec::new();
        write_avro(&payment, &mut datum);
        let mut rest = datum.as_slice();
        let Value::Record(fields) = reader.read_value(&mut rest).unwrap() else {
            panic!("not a record");
        };
        assert!(rest.is_empty());
        let avro: serde_json::Map<_, _> = fields.into_iter().map(|(name, value)| (name, plain(value))).collect();
        let json: serde_json::Value = serde_json::from_str(&json(&payment)).unwrap();
        assert_eq!(json, serde_json::Value::Object(avro));
        assert_eq!(json["id"], payment.id());
        assert_eq!(json["card"], payment.card_id());
    }
}

fn plain(value: Value) -> serde_json::Value {
    match value {
        Value::Union(_, inner) => plain(*inner),
        Value::String(text) | Value::Enum(_, text) => text.into(),
        Value::Double(number) => number.into(),
        Value::TimestampMillis(time) => time.into(),
        Value::Null => serde_json::Value::Null,
        other => panic!("unexpected {other:?}"),
    }
}

#[test]
fn payments_arrive_out_of_order_within_the_bound() {
    for disorder_ms in [0, 30_000] {
        let config = PaymentsConfig { disorder_ms, rate_per_s: 50.0, ..small() };
        let (mut newest, mut latest, mut late) = (i64::MIN, 0, 0);
        for payment in run(config, 50_000) {
            newest = newest.max(payment.time);
            latest = latest.max(newest - payment.time);
            late += usize::from(payment.time < newest);
        }
        assert!(latest <= i64::from(disorder_ms), "{latest}");
        assert_eq!(late > 1_000, disorder_ms > 0, "{late}");
    }
}

#[test]
fn the_rate_and_the_share_of_fraud_are_those_asked_for() {
    let config = PaymentsConfig { cards: 20_000, rate_per_s: 10.0, fraud_share: 0.01, ..small() };
    let payments = run(config, 200_000);
    let share = payments.iter().filter(|payment| payment.is_fraud()).count() as f64 / 200_000.0;
    assert!((0.008..0.012).contains(&share), "{share}");
    let seconds = (payments[199_999].time - config.start_ms) as f64 / 1_000.0;
    assert!((0.97..1.03).contains(&(200_000.0 / seconds / 10.0)), "{seconds}");
    for kind in [Fraud::CardTesting, Fraud::StolenCard] {
        assert!(payments.iter().filter(|payment| payment.fraud() == Some(kind)).count() > 300, "{kind:?}");
    }
    assert_eq!(run(PaymentsConfig { fraud_share: 0.0, ..config }, 10_000).iter().position(Payment::is_fraud), None);
}

#[test]
fn busy_cards_make_most_payments_and_merchants_are_many() {
    let payments = run(PaymentsConfig { cards: 10_000, ..small() }, 200_000);
    let mut counts: HashMap<u32, usize> = HashMap::new();
    let mut merchants = BTreeSet::new();
    for payment in &payments {
        *counts.entry(payment.card).or_default() += 1;
        let mut name = Vec::new();
        payment.push_merchant(&mut name);
        merchants.insert(name);
    }
    let mut counts: Vec<usize> = counts.into_values().collect();
    counts.sort_unstable_by(|a, b| b.cmp(a));
    let busiest: usize = counts.iter().take(1_000).sum();
    assert!((80_000..130_000).contains(&busiest), "{busiest}");
    assert!(counts[0] < 10_000, "{}", counts[0]);
    assert!((4_000..=5_000).contains(&merchants.len()), "{}", merchants.len());
}

#[test]
fn owners_travel_no_faster_than_airliners_and_thieves_do() {
    let config = PaymentsConfig { cards: 20_000, disorder_ms: 0, fraud_share: 0.01, ..small() };
    let mut last: HashMap<u32, Payment> = HashMap::new();
    let (mut jumps, mut trips) = (0, 0);
    for payment in run(config, 200_000).into_iter().filter(|payment| payment.channel != Channel::Online) {
        let Some(before) = last.insert(payment.card, payment) else {
            continue;
        };
        if before.city == payment.city {
            continue;
        }
        let km = CITIES[usize::from(before.city)].km_to(&CITIES[usize::from(payment.city)]);
        let hours = (payment.time - before.time) as f64 / HOUR as f64;
        if payment.is_fraud() {
            assert!(km / hours > 1_500.0, "{km} km in {hours} h");
            jumps += 1;
        } else {
            assert!(km / hours < 700.0, "{km} km in {hours} h: {before:?} {payment:?}");
            trips += 1;
        }
    }
    assert!(jumps > 20 && trips > 20, "{jumps} {trips}");
}

#[test]
fn a_world_of_one_card_goes_on() {
    let config = PaymentsConfig { cards: 1, fraud_share: 0.5, ..PaymentsConfig::default() };
    assert_eq!(run(config, 1_000).len(), 1_000);
}

#[test]
fn a_config_out_of_range_is_refused() {
    for (bad, what) in [
        (PaymentsConfig { cards: 0, ..small() }, "number of cards"),
        (PaymentsConfig { rate_per_s: f64::NAN, ..small() }, "rate must be 0.001"),
        (PaymentsConfig { rate_per_s: 0.0, ..small() }, "rate must be 0.001"),
        (PaymentsConfig { fraud_share: 0.6, ..small() }, "share of fraud"),
        (PaymentsConfig { disorder_ms: 3_600_001, ..small() }, "at most an hour"),
        (PaymentsConfig { start_ms: -1, ..small() }, "between the years"),
    ] {
        let error = Payments::new(&bad).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(what), "{error}");
    }
}
