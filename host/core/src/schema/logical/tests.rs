//! Logical types to texts and back, and texts that are refused.

use proptest::prelude::*;

use super::*;

#[test]
fn dates_and_times_of_day_have_texts_and_other_texts_are_refused() {
    assert_eq!(date_text(20_484).as_deref(), Some("2026-01-31"));
    assert_eq!(date_text(-1).as_deref(), Some("1969-12-31"));
    assert_eq!(date_text(i32::MAX), None);
    for text in ["", "2026-02-30", "2026-01-31T00:00:00", "2026-01-31T00:00:00Z", "31.01.2026", "20260"] {
        assert_eq!(date_days(text), None, "{text}");
    }
    assert_eq!(time_text(TimeUnit::Millis, 45_000_500).as_deref(), Some("12:30:00.5"));
    assert_eq!(time_text(TimeUnit::Micros, 1).as_deref(), Some("00:00:00.000001"));
    assert_eq!([time_text(TimeUnit::Millis, 86_400_000), time_text(TimeUnit::Millis, -1)], [None, None]);
    assert_eq!(time_raw(TimeUnit::Millis, "12:30"), Some(45_000_000));
    for text in ["", "25:00:00", "12:30:00.0001", "2026-01-31T12:30:00", "12:30:00Z"] {
        assert_eq!(time_raw(TimeUnit::Millis, text), None, "{text}");
    }
    assert_eq!(local_text(1_500_000_000).as_deref(), Some("1970-01-01T00:00:01.5"));
}

#[test]
fn durations_have_texts_and_other_texts_are_refused() {
    let parts = |months: u32, days: u32, millis: u32| [months, days, millis].map(u32::to_le_bytes).concat();
    for (text, bytes) in [
        ("P1M2DT3.004S", parts(1, 2, 3_004)),
        ("PT0S", parts(0, 0, 0)),
        ("P12M", parts(12, 0, 0)),
        ("P4294967295M4294967295DT4294967.295S", parts(u32::MAX, u32::MAX, u32::MAX)),
    ] {
        assert_eq!(duration_text(&bytes), text);
        assert_eq!(duration_bytes(text).map(Vec::from), Some(bytes), "{text}");
    }
    assert_eq!(duration_bytes("P1Y2M1W1DT1H1M1.5S").map(Vec::from), Some(parts(14, 8, 3_661_500)));
    for text in ["", "P", "PT", "1D", "P1", "P-1D", "P1.5D", "PT1.0001S", "P1DT", "PT1D", "P1D2M", "PT4294968S", "P1H"]
    {
        assert_eq!(duration_bytes(text), None, "{text}");
    }
}

#[test]
fn only_the_usual_form_of_uuids_is_parsed() {
    let text = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
    assert_eq!(uuid_text(&uuid_bytes(text).unwrap()), text);
    assert_eq!(uuid_bytes(&text.to_uppercase()), uuid_bytes(text));
    let long = format!("{text}0");
    for text in [
        "",
        "f81d4fae7dec11d0a76500a0c91e6bf6",
        &text[1..],
        &long,
        "f81d4fae-7dec-11d0-a765-00a0c91e6bfg",
        // Hyphens where digits must be.
        "f81d4fae-7dec-11d0-a765-00-0c91e6bf6",
        "f81d4fae-7dec-11d0-a765-00a0c91e6bf-",
        "-81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "------------------------------------",
        "+81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "f81d4fae-7dec-11d0-a765-00a0c91e6b\u{e9}",
    ] {
        assert_eq!(uuid_bytes(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn texts_are_read_back(days in any::<i32>(), raw in 0_i64..86_400_000_000, bytes in any::<[u8; 12]>()) {
        if let Some(text) = date_text(days) {
            prop_assert_eq!(date_days(&text), Some(days));
        }
        prop_assert_eq!(time_raw(TimeUnit::Micros, &time_text(TimeUnit::Micros, raw).unwrap()), Some(raw));
        prop_assert_eq!(duration_bytes(&duration_text(&bytes)), Some(bytes));
    }

    #[test]
    fn no_text_panics(text in "[P0-9YMWDTHS.:Z+-]{0,12}|\\PC{0,36}") {
        let _ = (date_days(&text), time_raw(TimeUnit::Millis, &text));
        let _ = (duration_bytes(&text), uuid_bytes(&text));
    }
}
