//! Avro's decimals: a big-endian integer in two's complement, scaled by a power of ten. Their texts are exact.

/// The most digits of a decimal type; a type with more is treated as plain bytes.
pub(super) const MAX_DIGITS: usize = 1_000;
/// Doubles hold all integers up to this one exactly, and powers of ten up to [`MAX_EXACT_POWER_OF_TEN`].
const MAX_EXACT_INTEGER: u128 = 1 << 53;
const MAX_EXACT_POWER_OF_TEN: usize = 22;

/// A decimal type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decimal {
    /// The most digits, at least 1.
    pub(super) precision: usize,
    /// The number of digits after the point.
    pub(super) scale: usize,
    /// The fixed type under it; none: its values have any number of bytes.
    pub(super) fixed: Option<Fixed>,
}

/// The fixed type under a decimal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Fixed {
    pub(super) name: String,
    pub(super) size: usize,
}

impl Decimal {
    /// The size of the fixed type under it.
    pub(super) fn size(&self) -> Option<usize> {
        self.fixed.as_ref().map(|fixed| fixed.size)
    }

    /// True if the unscaled value has at most `precision` digits.
    pub(super) fn fits(&self, unscaled: &[u8]) -> bool {
        match to_i128(unscaled) {
            Some(value) if self.precision <= 38 => value.unsigned_abs() < 10_u128.pow(self.precision as u32),
            _ => absolute_digits(unscaled, self.precision).is_some(),
        }
    }

    /// The value as text with `scale` digits after the point; none if it has more digits than `precision`.
    pub(super) fn to_text(&self, unscaled: &[u8]) -> Option<String> {
        let digits = absolute_digits(unscaled, self.precision)?;
        let digits = format!("{digits:0>width$}", width = self.scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.scale);
        let sign = if is_negative(unscaled) { "-" } else { "" };
        Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
    }

    /// The double nearest to a value that fits.
    pub(super) fn to_double(&self, unscaled: &[u8]) -> f64 {
        match to_i128(unscaled) {
            // Both operands are exact, so the quotient is rounded only once.
            Some(value) if value.unsigned_abs() <= MAX_EXACT_INTEGER && self.scale <= MAX_EXACT_POWER_OF_TEN => {
                value as f64 / 10_f64.powi(self.scale as i32)
            }
            _ => self.to_text(unscaled).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN),
        }
    }

    /// Parses a text such as `-12.30` to unscaled bytes; none if it is no number or has too many digits.
    pub(super) fn parse_bytes(&self, text: &str) -> Option<Vec<u8>> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number(whole) || !is_number(fraction) {
            return None;
        }
        let (whole, fraction) = (whole.trim_start_matches('0'), fraction.trim_end_matches('0'));
        if fraction.len() > self.scale || whole.len() + self.scale > self.precision {
            return None;
        }
        let mut value = vec![0];
        let zeros = std::iter::repeat_n(b'0', self.scale - fraction.len());
        for digit in whole.bytes().chain(fraction.bytes()).chain(zeros) {
            multiply_by_ten_and_add(&mut value, digit - b'0');
        }
        if negative {
            negate(&mut value);
        }
        match &self.fixed {
            Some(fixed) => extend_sign(value, fixed.size),
            None => Some(value),
        }
    }
}

/// The number of decimal digits that every value of this many bytes can hold.
pub(super) fn digits_in(bytes: usize) -> usize {
    // log10(2) = 0.30103; one bit is the sign.
    (bytes.saturating_mul(8).saturating_sub(1) as f64 * std::f64::consts::LOG10_2) as usize
}

fn is_negative(unscaled: &[u8]) -> bool {
    unscaled.first().is_some_and(|first| *first >= 0x80)
}

/// The value, if it has at most 16 bytes.
fn to_i128(unscaled: &[u8]) -> Option<i128> {
    let mut bytes = [if is_negative(unscaled) { 0xff } else { 0 }; 16];
    let start = 16_usize.checked_sub(unscaled.len())?;
    bytes[start..].copy_from_slice(unscaled);
    Some(i128::from_be_bytes(bytes))
}

/// The digits of the absolute value; none if they are more than `max_digits`.
fn absolute_digits(unscaled: &[u8], max_digits: usize) -> Option<String> {
    if let Some(value) = to_i128(unscaled) {
        let digits = value.unsigned_abs().to_string();
        return (digits.len() <= max_digits).then_some(digits);
    }
    let mut bytes = unscaled.to_vec();
    if is_negative(unscaled) {
        negate(&mut bytes);
    }
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    // A cheap lower bound on the digits, before the conversion, whose cost grows with their square.
    if digits_in((bytes.len() - first).saturating_sub(1)) > max_digits {
        return None;
    }
    // The least significant nine digits first.
    let mut parts: Vec<u32> = vec![0];
    for byte in &bytes[first..] {
        let mut carry = u64::from(*byte);
        for part in &mut parts {
            carry += u64::from(*part) << 8;
            *part = (carry % 1_000_000_000) as u32;
            carry /= 1_000_000_000;
        }
        if carry > 0 {
            parts.push(carry as u32);
        }
    }
    let digits: String = parts.iter().rev().map(|part| format!("{part:09}")).collect();
    let digits = digits.trim_start_matches('0');
    (digits.len() <= max_digits).then(|| if digits.is_empty() { "0".to_owned() } else { digits.to_owned() })
}

/// Multiplies a big-endian value that is not negative by ten and adds a digit. The result stays non-negative.
fn multiply_by_ten_and_add(value: &mut Vec<u8>, digit: u8) {
    let mut carry = u16::from(digit);
    for byte in value.iter_mut().rev() {
        carry += u16::from(*byte) * 10;
        *byte = carry as u8;
        carry >>= 8;
    }
    if carry > 0 {
        value.insert(0, carry as u8);
    }
    if is_negative(value) {
        value.insert(0, 0);
    }
}

/// Negates a value in two's complement and drops redundant leading bytes.
fn negate(value: &mut Vec<u8>) {
    let mut carry = true;
    for byte in value.iter_mut().rev() {
        let (negated, overflow) = (!*byte).overflowing_add(u8::from(carry));
        (*byte, carry) = (negated, overflow);
    }
    while let [0xff, second, ..] = value.as_slice()
        && *second >= 0x80
    {
        value.remove(0);
    }
}

/// Extends a value with its sign to `size` bytes; none if it has more.
fn extend_sign(value: Vec<u8>, size: usize) -> Option<Vec<u8>> {
    let sign = if is_negative(&value) { 0xff } else { 0 };
    let mut wide = vec![sign; size.checked_sub(value.len())?];
    wide.extend(value);
    Some(wide)
}

#[cfg(test)]
mod tests;
