//! A payment as JSON, written by hand: no text of it needs escaping, and every number is an exact decimal.

use super::payment::{Payment, push_device, push_number};

/// Appends the payment as one JSON object, without a line end.
pub fn write_json(payment: &Payment, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"id\":\"");
    payment.push_id(out);
    out.extend_from_slice(b"\",\"card\":\"");
    payment.push_card(out);
    out.extend_from_slice(b"\",\"merchant\":\"");
    payment.push_merchant(out);
    out.extend_from_slice(b"\",\"category\":\"");
    out.extend_from_slice(payment.merchant.category().as_bytes());
    out.extend_from_slice(b"\",\"country\":\"");
    out.extend_from_slice(payment.country().as_bytes());
    out.extend_from_slice(b"\",\"amount\":");
    push_decimal(out, i64::from(payment.cents), 100, 2);
    out.extend_from_slice(b",\"time\":");
    push_decimal(out, payment.time, 1, 0);
    out.extend_from_slice(b",\"lat\":");
    push_decimal(out, i64::from(payment.place.0), 10_000, 4);
    out.extend_from_slice(b",\"lon\":");
    push_decimal(out, i64::from(payment.place.1), 10_000, 4);
    out.extend_from_slice(b",\"channel\":\"");
    out.extend_from_slice(payment.channel.name().as_bytes());
    out.extend_from_slice(b"\",\"device\":");
    match payment.device {
        None => out.extend_from_slice(b"null}"),
        Some(device) => {
            out.push(b'"');
            push_device(out, device);
            out.extend_from_slice(b"\"}");
        }
    }
}

/// `value / unit`, where `unit` is 10 to the power of `places`.
fn push_decimal(out: &mut Vec<u8>, value: i64, unit: u64, places: usize) {
    if value < 0 {
        out.push(b'-');
    }
    push_number(out, value.unsigned_abs() / unit, 1);
    if places > 0 {
        out.push(b'.');
        push_number(out, value.unsigned_abs() % unit, places);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_keep_their_sign_and_zeros() {
        let decimal = |value| {
            let mut out = Vec::new();
            push_decimal(&mut out, value, 100, 2);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(decimal(1205), "12.05");
        assert_eq!(decimal(-5), "-0.05");
        assert_eq!(decimal(0), "0.00");
        assert_eq!(decimal(100_000), "1000.00");
    }
}
