//! Makes a component of a plain core module, as cargo builds it for wasm32-unknown-unknown.
//!
//! A module from wit-bindgen carries a section that describes its world. It is dropped and replaced by the host's own
//! description: what an upload says would have to be parsed, and wit-parser does not expect to be lied to (a package
//! that depends on itself makes it recurse until the process dies). That the module's functions fit the host's
//! description is checked by the encoder, and on every call by what they return.

use wasmparser::{Parser, Payload, Validator};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use crate::error::PluginError;

/// The contract, which names its version once, in its package line.
const CONTRACT: &str = include_str!("../../../wit/plugin.wit");
const PACKAGE: &str = "package assay:plugin@1.0.0;";

/// Wraps a module that exports the contract's functions under this version, a 1.x. About 1 ms.
pub(crate) fn wrap(module: &[u8], version: &str) -> Result<Vec<u8>, PluginError> {
    let valid = Validator::new().validate_all(module);
    valid.map_err(|error| PluginError::NotWasm(error.to_string()))?;
    let mut described = without_description(module)?;
    let contract = CONTRACT.replace(PACKAGE, &format!("package assay:plugin@{version};"));
    describe(&mut described, &contract)?;
    let mut encoder = ComponentEncoder::default().validate(true).module(&described).map_err(misfit)?;
    encoder.encode().map_err(misfit)
}

/// Adds the host's description of the world to a module.
fn describe(module: &mut Vec<u8>, contract: &str) -> Result<(), PluginError> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("plugin.wit", contract).map_err(misfit)?;
    let world = resolve.select_world(&[package], Some("plugin")).map_err(misfit)?;
    embed_component_metadata(module, &resolve, world, StringEncoding::UTF8).map_err(misfit)
}

fn misfit(error: impl std::fmt::Display) -> PluginError {
    PluginError::Misfit(format!("{error:#}"))
}

/// The module without sections in which it describes its world.
fn without_description(module: &[u8]) -> Result<Vec<u8>, PluginError> {
    let mut kept = Vec::with_capacity(module.len());
    let mut end = 0;
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(|error| PluginError::NotWasm(error.to_string()))?;
        let section_end = match &payload {
            Payload::Version { range, .. } => range.end,
            payload => match payload.as_section() {
                Some((_, range)) => range.end,
                None => continue,
            },
        };
        let describes =
            matches!(&payload, Payload::CustomSection(custom) if custom.name().starts_with("component-type"));
        if !describes {
            // From the end of the section before: a section's header stands before its range.
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
        assert_eq!(without_description(&module).expect("the module can be read"), expected);
    }
}
