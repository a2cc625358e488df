//! The compile errors for wrong inputs and plugins. Their texts are part of the SDK.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

#[test]
fn errors_name_the_field_and_the_allowed_types() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
