//! Decimals against integer arithmetic, and at the limits of their size.

use proptest::prelude::*;

use super::*;

fn decimal(precision: usize, scale: usize) -> Decimal {
    Decimal { precision, scale, fixed: None }
}

#[test]
fn texts_and_bytes_are_converted_at_the_limits_of_precision() {
    let cases: [(&str, &[u8]); 8] = [
        ("0.00", &[0]),
        ("0.01", &[1]),
        ("-0.01", &[0xff]),
        ("1.27", &[0x7f]),
        ("1.28", &[0, 0x80]),
        ("-1.28", &[0x80]),
        ("-1.29", &[0xff, 0x7f]),
        ("-2.56", &[0xff, 0]),
    ];
    for (text, bytes) in cases {
        assert_eq!(decimal(4, 2).parse_bytes(text).as_deref(), Some(bytes), "{text}");
        assert_eq!(decimal(4, 2).to_text(bytes).as_deref(), Some(text));
    }
    for text in ["", "-", ".5", "5.", "1e3", "+1", "0.001", "100", "1,5", " 1", "--1"] {
        assert_eq!(decimal(4, 2).parse_bytes(text), None, "{text}");
    }
    assert_eq!(decimal(4, 2).parse_bytes("00099.990"), Some(vec![0x27, 0x0f]));
    assert_eq!(decimal(4, 2).parse_bytes("-0"), Some(vec![0]));
    assert_eq!(decimal(2, 2).parse_bytes("0.5"), Some(vec![50]));
    assert!(!decimal(4, 2).fits(&[0x27, 0x10]));
    assert!(decimal(4, 2).fits(&[0, 0, 0x27, 0x0f]));
    assert_eq!(decimal(1, 0).to_text(&[]).as_deref(), Some("0"));
}

#[test]
fn the_least_value_of_sixteen_bytes_is_a_number() {
    let least = [&[0x80][..], &[0; 15]].concat();
    assert_eq!(decimal(39, 0).to_text(&least).as_deref(), Some("-170141183460469231731687303715884105728"));
    assert_eq!(decimal(39, 0).to_double(&least), -(2_f64.powi(127)));
}

#[test]
fn a_fixed_is_filled_with_the_sign() {
    let fixed = Decimal { fixed: Some(Fixed { name: "F".to_owned(), size: 3 }), ..decimal(6, 0) };
    assert_eq!(fixed.parse_bytes("-2"), Some(vec![0xff, 0xff, 0xfe]));
    assert_eq!(fixed.parse_bytes("258"), Some(vec![0, 1, 2]));
    assert_eq!([digits_in(1), digits_in(2), digits_in(4), digits_in(8), digits_in(0)], [2, 4, 9, 18, 0]);
}

proptest! {
    /// A text of any number of digits is converted without loss, and to the nearest double.
    #[test]
    fn texts_are_converted_to_bytes_and_back(digits in "-?[1-9][0-9]{0,120}", scale in 0_usize..30) {
        let type_ = decimal(121, scale);
        let unscaled = decimal(121, 0).parse_bytes(&digits).unwrap();
        prop_assert_eq!(decimal(121, 0).to_text(&unscaled).unwrap(), digits.as_str());
        let text = type_.to_text(&unscaled).unwrap();
        prop_assert_eq!(type_.parse_bytes(&text).unwrap(), unscaled.clone());
        prop_assert_eq!(type_.to_double(&unscaled), text.parse::<f64>().unwrap());
        let count = digits.trim_start_matches('-').len();
        prop_assert!(decimal(count, 0).fits(&unscaled));
        prop_assert!(count == 1 || !decimal(count - 1, 0).fits(&unscaled));
    }

    /// Small values agree with i64, also with redundant leading bytes.
    #[test]
    fn small_values_agree_with_integers(value in any::<i64>(), zeros in 0_usize..12) {
        let mut bytes = vec![if value < 0 { 0xff } else { 0 }; zeros];
        bytes.extend(value.to_be_bytes());
        prop_assert_eq!(decimal(40, 0).to_text(&bytes).unwrap(), value.to_string());
    }

    /// No bytes panic, and exactly the values that fit have a text.
    #[test]
    fn exactly_values_that_fit_have_a_text(bytes in prop::collection::vec(any::<u8>(), 0..60), precision in 1_usize..120) {
        let type_ = decimal(precision, precision / 2);
        prop_assert_eq!(type_.fits(&bytes), type_.to_text(&bytes).is_some());
    }
}
