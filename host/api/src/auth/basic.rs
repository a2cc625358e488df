//! The password in `Authorization: Basic`, which clients of schema registries send. The user name is ignored, because
//! the secret identifies the key.

/// The password in the credentials of the scheme Basic (RFC 7617); none if they are malformed.
pub(super) fn read_password(credentials: &str) -> Option<String> {
    let text = String::from_utf8(decode_base64(credentials)?).ok()?;
    let (_user, password) = text.split_once(':')?;
    Some(password.to_owned())
}

/// Decodes Base64 (RFC 4648, section 4), with or without padding.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if digits.len() % 4 == 1 || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits {
        bits = ((bits << 6) | u32::from(decode_digit(*digit)?)) & 0xfff;
        count += 6;
        if count >= 8 {
            count -= 8;
            // The eight bits above the `count` bits that stay.
            bytes.push(((bits >> count) & 0xff) as u8);
        }
    }
    Some(bytes)
}

fn decode_digit(digit: u8) -> Option<u8> {
    match digit {
        b'A'..=b'Z' => Some(digit - b'A'),
        b'a'..=b'z' => Some(digit - b'a' + 26),
        b'0'..=b'9' => Some(digit - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The vectors of RFC 4648, section 10.
    #[test]
    fn base64_is_decoded() {
        for (encoded, plain) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
            ("Zm9vYmE", "fooba"),
        ] {
            assert_eq!(decode_base64(encoded).as_deref(), Some(plain.as_bytes()), "{encoded}");
        }
        assert_eq!(decode_base64("+/+/"), Some(vec![0xfb, 0xff, 0xbf]));
        for bad in ["Z", "Zm9v=Zg", "Zm9v!A==", "====", "Zm 9"] {
            assert_eq!(decode_base64(bad), None, "{bad}");
        }
    }

    /// The examples of RFC 7617, section 2.
    #[test]
    fn the_password_is_what_follows_the_first_colon() {
        assert_eq!(read_password("QWxhZGRpbjpvcGVuIHNlc2FtZQ==").as_deref(), Some("open sesame"));
        assert_eq!(read_password("dGVzdDoxMjPCow==").as_deref(), Some("123£"));
        assert_eq!(read_password("OmE6Yg==").as_deref(), Some("a:b"));
        assert_eq!(read_password("bm8gY29sb24="), None);
        assert_eq!(read_password("Ov8="), None);
    }
}
