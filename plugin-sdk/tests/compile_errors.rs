//! What authors are told when an input or a plugin is not one: the text is part of the SDK.

#[test]
fn errors_name_the_field_and_what_is_allowed() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
