//! Payments as producers write them: Avro in Confluent's frame, all payments of a card in one partition.

use std::time::Duration;

use assay::generate::{Payment, Payments, PaymentsConfig, write_avro};
use assay_core::names::partition_of;
use rdkafka::producer::{BaseProducer, BaseRecord, ProducerContext};

use crate::bare;
use crate::topics;

/// The number of partitions of all topics.
pub(crate) const PARTITIONS: u32 = 8;

/// Generates payments in the order of their arrival.
pub(crate) fn payments(count: usize, cards: u32) -> Vec<Payment> {
    let config = PaymentsConfig { cards, ..PaymentsConfig::default() };
    Payments::new(&config).unwrap().take(count).collect()
}

/// The partition of a payment.
pub(crate) fn partition(payment: &Payment) -> u32 {
    partition_of(&payment.card_id(), PARTITIONS).0
}

/// The number of the payment with an id.
pub(crate) fn number(id: &str) -> u64 {
    id.rsplit('-').next().and_then(|digits| digits.parse().ok()).expect("an id ends with the payment's number")
}

/// Sends a payment with a producer. The delivery report contains `opaque`.
pub(crate) fn send<C: ProducerContext>(
    producer: &BaseProducer<C>,
    (topic, schema): (&str, i32),
    payment: &Payment,
    opaque: C::DeliveryOpaque,
) {
    let mut message = vec![0];
    message.extend_from_slice(&schema.to_be_bytes());
    write_avro(payment, &mut message);
    let key = payment.card_id();
    let record = BaseRecord::with_opaque_to(topic, opaque).partition(partition(payment) as i32);
    producer.send(record.key(&key).payload(&message)).map_err(|(error, _)| error).unwrap();
}

/// Fills a topic, and checks that it has all payments.
pub(crate) fn fill(topic: &str, schema: i32, payments: &[Payment]) {
    let before: u64 = topics::ends(topic).iter().sum();
    let producer = bare::producer();
    for (index, payment) in payments.iter().enumerate() {
        send(&producer, (topic, schema), payment, ());
        if index % 1024 == 0 {
            producer.poll(Duration::ZERO);
        }
    }
    bare::wait_for_acks(&producer);
    let after: u64 = topics::ends(topic).iter().sum();
    assert_eq!(after - before, payments.len() as u64, "payments in {topic}");
}
