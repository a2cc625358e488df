//! Checks the page on expressions: the values of its examples, that its sources compile, and that it names all
//! functions.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod expr_events;

use std::collections::BTreeSet;

use assay_core::expr::{Columns, Expr};
use assay_core::types::Type;
use expr_events::Events;
use serde_json::Value as Json;

const PAGE: &str = include_str!("../../../docs/expressions.md");

/// The code blocks in a language; `""` for those without one.
fn blocks(language: &str) -> Vec<&'static str> {
    let parts = PAGE.split("```").skip(1).step_by(2).map(|block| block.split_once('\n').unwrap());
    parts.filter(|(block_language, _)| *block_language == language).map(|(_, text)| text).collect()
}

/// The part of the page under a heading.
fn section(heading: &str) -> &'static str {
    let (_, rest) = PAGE.split_once(&format!("\n## {heading}\n")).unwrap();
    rest.split("\n## ").next().unwrap()
}

/// The texts between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The first cells of the rows of a section's table.
fn first_cells(section: &str) -> impl Iterator<Item = &str> {
    let rows = section.lines().filter_map(|line| line.strip_prefix("| "));
    rows.filter_map(|row| row.split(" |").next())
}

/// The event of the examples.
fn order() -> Events {
    let [fields, order] = blocks("json")[..] else { panic!("fields, and an order") };
    let read = |text| -> Json { serde_json::from_str(text).unwrap() };
    Events::new(&read(fields), &[read(order)])
}

#[test]
fn the_examples_have_the_values_on_the_page() {
    let order = order();
    let [examples] = blocks("cel")[..] else { panic!("one block of examples") };
    let mut checked = 0;
    for line in examples.lines() {
        let (source, expected) = line.rsplit_once("// ").unwrap_or_else(|| panic!("no value: {line}"));
        let found = order.values(source.trim()).unwrap_or_else(|error| panic!("{source}: {error}"));
        let found = if found[0] == "-" { "missing" } else { &found[0] };
        assert_eq!(found, expected, "{source}");
        checked += 1;
    }
    assert!(checked > 20, "{checked}");
}

#[test]
fn the_sources_on_lists_and_maps_compile() {
    let order = order();
    let section = section("Lists and maps");
    let cells = first_cells(section).flat_map(quoted).filter(|cell| !cell.contains("list"));
    let (_, together) = section.split_once("These go together:").unwrap();
    let together = quoted(together.split("\n\n").next().unwrap());
    let mut compiled = 0;
    for source in cells.chain(together) {
        order.values(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        compiled += 1;
    }
    assert!(compiled > 20, "{compiled}");
}

#[test]
fn the_error_on_the_page_is_the_compilers() {
    let scope = Columns::new([("amount", Type::Double), ("country", Type::Text)]);
    let message = format!("{}\n", Expr::compile("amount + country", &scope).unwrap_err());
    assert_eq!(message, blocks("")[0]);
}

#[test]
fn all_functions_are_on_the_page() {
    let error = Expr::compile("frobnicate()", &Columns::new([("a", Type::Int)])).unwrap_err();
    let (_, list) = error.message.split_once("the functions are ").unwrap();
    let known: BTreeSet<&str> = list.split(", ").collect();
    // The functions and macros of lists have a table of their own.
    let tables = [section("Functions"), section("Lists and maps")];
    let cells = tables.into_iter().flat_map(first_cells).flat_map(quoted);
    let names = cells.filter_map(|cell| {
        let call = cell.split('(').next()?;
        (call.len() < cell.len() || known.contains(call)).then(|| call.rsplit(['.', ' ']).next().unwrap())
    });
    let on_page: BTreeSet<&str> = names.collect();
    let missing: Vec<_> = known.difference(&on_page).collect();
    assert!(missing.is_empty(), "not on the page: {missing:?}");
    let macros = ["exists", "all", "exists_one", "filter", "map", "has"];
    let unknown: Vec<_> = on_page.difference(&known).filter(|name| !macros.contains(name)).collect();
    assert!(unknown.is_empty(), "no functions: {unknown:?}");
}
