//! What authors are told when an input or a plugin is not one: the text is part of the SDK.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[test]
fn errors_name_the_field_and_what_is_allowed() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
