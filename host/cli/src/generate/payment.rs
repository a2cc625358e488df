//! One payment in a compact form, and the texts of its numbers. `json` and `avro` write it.

use super::cities::CITIES;
use super::fraud::Fraud;
use super::model::CATEGORIES;

/// One card payment. Ids are numbers here and texts when it is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Payment {
    /// The run of the generator: a digest of its config, so that ids of two runs differ.
    pub run: u32,
    /// Its place in the run, from 1, in the order of arrival.
    pub number: u64,
    /// The number of its card, from 1.
    pub card: u32,
    /// The merchant.
    pub merchant: Merchant,
    /// The amount, in cents of one reporting currency.
    pub cents: u32,
    /// The time of the payment: milliseconds since 1970-01-01T00:00:00Z.
    pub time: i64,
    /// The place of the terminal, or online the card's billing address: ten-thousandths of a degree north and east.
    pub place: (i32, i32),
    /// The channel of the payment.
    pub channel: Channel,
    /// The number of the buyer's device; only online payments have one.
    pub device: Option<u32>,
    /// Index of the city that `place` is in.
    pub(super) city: u8,
    pub(super) fraud: Option<Fraud>,
}

/// How a card was presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// Inserted into a terminal.
    Chip,
    /// Held to a terminal.
    Contactless,
    /// Typed in on a site.
    Online,
}

/// A seller of one category, in a city or on the web.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merchant {
    pub(super) category: u8,
    /// None: on the web.
    pub(super) city: Option<u8>,
    /// Its number among merchants of its kind, from 1.
    pub(super) number: u8,
}

impl Merchant {
    /// Its category, such as `grocery`.
    pub fn category(&self) -> &'static str {
        CATEGORIES[usize::from(self.category)].name
    }

    /// Its city, such as `berlin`; `web` for one on the web.
    pub fn city(&self) -> &'static str {
        self.city.map_or("web", |city| CITIES[usize::from(city)].name)
    }
}

impl Payment {
    /// The kind of fraud, if any, which is not part of the event. For checks of scores against the truth.
    pub fn fraud(&self) -> Option<Fraud> {
        self.fraud
    }

    /// Whether this is fraud of any kind.
    pub fn is_fraud(&self) -> bool {
        self.fraud.is_some()
    }

    /// The amount, exact to the cent.
    pub fn amount(&self) -> f64 {
        f64::from(self.cents) / 100.0
    }

    /// Degrees north, to four places.
    pub fn lat(&self) -> f64 {
        f64::from(self.place.0) / 10_000.0
    }

    /// Degrees east, to four places.
    pub fn lon(&self) -> f64 {
        f64::from(self.place.1) / 10_000.0
    }

    /// ISO 3166-1, two letters: the country of the city that `place` is in.
    pub fn country(&self) -> &'static str {
        CITIES[usize::from(self.city)].country
    }

    /// Its id, such as `p-3f9a1c-00000001`: unique among runs of different config.
    pub fn id(&self) -> String {
        text(|out| self.push_id(out))
    }

    /// The id of its card, such as `card-000001`.
    pub fn card_id(&self) -> String {
        text(|out| self.push_card(out))
    }

    pub(super) fn push_id(&self, out: &mut Vec<u8>) {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        out.extend_from_slice(b"p-");
        out.extend((0..6).rev().map(|digit| HEX[(self.run >> (4 * digit)) as usize & 15]));
        out.push(b'-');
        push_number(out, self.number, 8);
    }

    pub(super) fn push_card(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"card-");
        push_number(out, u64::from(self.card), 6);
    }

    pub(super) fn push_merchant(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.merchant.category().as_bytes());
        out.push(b'-');
        out.extend_from_slice(self.merchant.city().as_bytes());
        out.push(b'-');
        push_number(out, u64::from(self.merchant.number), 1);
    }
}

impl Channel {
    /// All, in the order of the schema's enum.
    pub const ALL: [Self; 3] = [Self::Chip, Self::Contactless, Self::Online];

    /// The name in events.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chip => "chip",
            Self::Contactless => "contactless",
            Self::Online => "online",
        }
    }
}

/// The id of a device, such as `device-000001`.
pub(super) fn push_device(out: &mut Vec<u8>, device: u32) {
    out.extend_from_slice(b"device-");
    push_number(out, u64::from(device), 6);
}

/// A number in decimal, with zeros in front up to `width` digits.
pub(super) fn push_number(out: &mut Vec<u8>, mut number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while number > 0 {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend_from_slice(&digits[start.min(digits.len() - width.min(20))..]);
}

fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::with_capacity(24);
    write(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_padded_and_never_cut() {
        let number = |number, width| text(|out| push_number(out, number, width));
        assert_eq!(number(0, 1), "0");
        assert_eq!(number(42, 6), "000042");
        assert_eq!(number(1_234_567, 6), "1234567");
        assert_eq!(number(u64::MAX, 1), u64::MAX.to_string());
    }
}
