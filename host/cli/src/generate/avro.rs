//! A payment as an Avro datum: its fields in the order of the payments pack's schema, written by hand.

use anyhow::Context as _;

use super::payment::{Channel, Payment, push_device};

const STREAM: &str = include_str!("../../../../rules/payments/streams/payments.yaml");

/// The Avro schema of payments: the one in the payments pack.
///
/// # Errors
/// Not in a build whose tests passed: the pack is part of the binary.
pub fn payments_schema() -> anyhow::Result<serde_json::Value> {
    let stream: serde_json::Value = serde_saphyr::from_str(STREAM).context("the payments pack's stream is not YAML")?;
    stream.get("schema").cloned().context("the payments pack's stream has no 'schema'")
}

/// Appends the payment as one Avro datum of [`payments_schema`].
pub fn write_avro(payment: &Payment, out: &mut Vec<u8>) {
    push_text(out, |out| payment.push_id(out));
    push_text(out, |out| payment.push_card(out));
    push_text(out, |out| payment.push_merchant(out));
    push_text(out, |out| out.extend_from_slice(payment.merchant.category().as_bytes()));
    push_text(out, |out| out.extend_from_slice(payment.country().as_bytes()));
    out.extend_from_slice(&payment.amount().to_le_bytes());
    push_long(out, payment.time);
    out.extend_from_slice(&payment.lat().to_le_bytes());
    out.extend_from_slice(&payment.lon().to_le_bytes());
    push_long(out, payment.channel as i64);
    match payment.device {
        None => push_long(out, 0),
        Some(device) => {
            push_long(out, 1);
            push_text(out, |out| push_device(out, device));
        }
    }
}

// The enum's index is the variant's place.
const _: () = assert!(Channel::ALL[1] as usize == 1 && Channel::ALL[2] as usize == 2);

/// A long in Avro's zigzag coding.
pub(super) fn push_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A text, whose length is known only when it is written: all of a payment's are shorter than 64 bytes, so that
/// their length is one byte.
fn push_text(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    write(out);
    let length = out.len() - at - 1;
    debug_assert!(length < 64);
    out[at] = (length as u8) << 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use apache_avro::reader::datum::GenericDatumReader;
    use apache_avro::types::Value;

    #[test]
    fn longs_are_coded_as_avro_codes_them() {
        let reader = GenericDatumReader::builder(&apache_avro::Schema::Long).build().unwrap();
        for value in [0, 1, -1, 63, -64, 64, 1_767_600_000_000, i64::MAX, i64::MIN] {
            let mut out = Vec::new();
            push_long(&mut out, value);
            assert_eq!(reader.read_value(&mut out.as_slice()).unwrap(), Value::Long(value));
        }
    }
}
