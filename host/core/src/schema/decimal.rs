//! Avro's decimals: two's complement, big-endian, times a power of ten. As text they are exact.

/// The most digits that a decimal may have; a type with more is plain bytes.
pub(super) const MAX_DIGITS: usize = 1_000;
/// Doubles count exactly up to here, and hold powers of ten exactly up to [`EXACT_POWER`].
const EXACT: u128 = 1 << 53;
const EXACT_POWER: usize = 22;

/// A decimal type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Decimal {
    /// The most digits, at least 1.
    pub(super) precision: usize,
    /// How many of them are behind the point.
    pub(super) scale: usize,
    /// Of always as many bytes; none: of any number.
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

    /// Whether the unscaled value has no more digits than it may have.
    pub(super) fn fits(&self, unscaled: &[u8]) -> bool {
        match small(unscaled) {
            Some(value) if self.precision <= 38 => value.unsigned_abs() < 10_u128.pow(self.precision as u32),
            _ => digits(unscaled, self.precision).is_some(),
        }
    }

    /// The value as text with as many digits behind the point as the scale says. None: it does not fit.
    pub(super) fn text(&self, unscaled: &[u8]) -> Option<String> {
        let digits = digits(unscaled, self.precision)?;
        let digits = format!("{digits:0>width$}", width = self.scale + 1);
        let (whole, fraction) = digits.split_at(digits.len() - self.scale);
        let sign = if is_negative(unscaled) { "-" } else { "" };
        Some(if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") })
    }

    /// The double nearest to a value that fits.
    pub(super) fn double(&self, unscaled: &[u8]) -> f64 {
        match small(unscaled) {
            // Both are exact, so the quotient is rounded once.
            Some(value) if value.unsigned_abs() <= EXACT && self.scale <= EXACT_POWER => {
                value as f64 / 10_f64.powi(self.scale as i32)
            }
            _ => self.text(unscaled).and_then(|text| text.parse().ok()).unwrap_or(f64::NAN),
        }
    }

    /// The unscaled bytes of a text such as `-12.30`. None: it is no number, or has too many digits.
    pub(super) fn bytes(&self, text: &str) -> Option<Vec<u8>> {
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
            times_ten_plus(&mut value, digit - b'0');
        }
        if negative {
            negate(&mut value);
        }
        match &self.fixed {
            Some(fixed) => widen(value, fixed.size),
            None => Some(value),
        }
    }
}

/// The most digits that any value of so many bytes has room for.
pub(super) fn digits_in(bytes: usize) -> usize {
    // log10(2) = 0.30103; one bit is the sign.
    (bytes.saturating_mul(8).saturating_sub(1) as f64 * std::f64::consts::LOG10_2) as usize
}

fn is_negative(unscaled: &[u8]) -> bool {
    unscaled.first().is_some_and(|first| *first >= 0x80)
}

/// The value, where it has 16 bytes at most.
fn small(unscaled: &[u8]) -> Option<i128> {
    let mut bytes = [if is_negative(unscaled) { 0xff } else { 0 }; 16];
    let start = 16_usize.checked_sub(unscaled.len())?;
    bytes[start..].copy_from_slice(unscaled);
    Some(i128::from_be_bytes(bytes))
}

/// The digits of the absolute value. None: more than `most`.
fn digits(unscaled: &[u8], most: usize) -> Option<String> {
    if let Some(value) = small(unscaled) {
        let digits = value.unsigned_abs().to_string();
        return (digits.len() <= most).then_some(digits);
    }
    let mut bytes = unscaled.to_vec();
    if is_negative(unscaled) {
        negate(&mut bytes);
    }
    let first = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    // A shorter value has fewer digits than this one.
    if digits_in((bytes.len() - first).saturating_sub(1)) > most {
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
    (digits.len() <= most).then(|| if digits.is_empty() { "0".to_owned() } else { digits.to_owned() })
}

/// A big-endian value that is not negative, and stays so.
fn times_ten_plus(value: &mut Vec<u8>, digit: u8) {
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

/// Two's complement, then without a leading byte that says nothing.
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

fn widen(value: Vec<u8>, size: usize) -> Option<Vec<u8>> {
    let sign = if is_negative(&value) { 0xff } else { 0 };
    let mut wide = vec![sign; size.checked_sub(value.len())?];
    wide.extend(value);
    Some(wide)
}

#[cfg(test)]
mod tests;
