//! Converts a plain core module, as cargo builds it for wasm32-unknown-unknown, to a component.
//!
//! A module from wit-bindgen has a custom section that describes its world. It is dropped and replaced by the host's
//! own description, because wit-parser is not safe with hostile input (a package that depends on itself makes it
//! recurse until the stack overflows). The encoder checks that the module's functions fit the host's description, and
//! every call checks the returned values.

use wasmparser::{Parser, Payload, Validator};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::error::PluginError;

/// The contract. Its version occurs once, in the package line.
const CONTRACT: &str = include_str!("../../../wit/plugin.wit");
const PACKAGE: &str = "package assay:plugin@1.0.0;";

/// Wraps a module that exports the contract's functions under a version 1.x. It takes about 1 ms.
pub(crate) fn componentize(module: &[u8], version: &str) -> Result<Vec<u8>, PluginError> {
    let valid = Validator::new().validate_all(module);
    valid.map_err(PluginError::unreadable)?;
    let mut described = strip_description(module)?;
    let contract = CONTRACT.replace(PACKAGE, &format!("package assay:plugin@{version};"));
    embed_description(&mut described, &contract)?;
    let mut encoder = ComponentEncoder::default().validate(true).module(&described).map_err(misfit)?;
    encoder.encode().map_err(misfit)
}

/// Adds the host's description of the world to a module.
fn embed_description(module: &mut Vec<u8>, contract: &str) -> Result<(), PluginError> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("plugin.wit", contract).map_err(misfit)?;
    let world = resolve.select_world(&[package], Some("plugin")).map_err(misfit)?;
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8).map_err(misfit)
}

fn misfit(error: impl std::fmt::Display) -> PluginError {
    PluginError::Misfit(format!("{error:#}"))
}

/// The module without sections that describe its world.
fn strip_description(module: &[u8]) -> Result<Vec<u8>, PluginError> {
    let mut kept = Vec::with_capacity(module.len());
    let mut end = 0;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(PluginError::unreadable)?;
        let section_end = match &payload {
            Payload::Version { range, .. } => range.end,
            payload => match payload.as_section() {
                Some((_, range)) => range.end,
                None => continue,
            },
        };
        let is_description =
            matches!(&payload, Payload::CustomSection(custom) if custom.name().starts_with("component-type"));
        if !is_description {
            // The copy begins at the end of the section before, because a section's range does not include its header.
            kept.extend_from_slice(&module[end..section_end]);
        }
        end = section_end;
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_names_its_version_in_one_place() {
        assert_eq!(CONTRACT.matches("@1.0.0").count(), 1);
        assert!(CONTRACT.contains(PACKAGE));
    }

    #[test]
    fn only_descriptions_are_dropped() {
        let header = b"\0asm\x01\0\0\0";
        let custom = |name: &str| {
            let mut section = vec![0, name.len() as u8 + 2, name.len() as u8];
            section.extend(name.bytes());
            section.push(7);
            section
        };
        let module = [&header[..], &custom("name"), &custom("component-type:x"), &custom("producers")].concat();
        let expected = [&header[..], &custom("name"), &custom("producers")].concat();
        assert_eq!(strip_description(&module).expect("the module can be read"), expected);
    }
}
