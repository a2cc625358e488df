//! Checks uploaded bytes before they are compiled: size, imports, exports.

use std::borrow::Cow;

use semver::Version;
use wasmparser::{Encoding, Parser, Payload};

use crate::componentize::componentize;
use crate::error::PluginError;
use crate::limits::RuntimeConfig;

/// The first bytes of every module and component.
const WASM_MAGIC: &[u8] = b"\0asm";
/// The interface that a plugin exports, up to its version.
const SCORING_INTERFACE: &str = "assay:plugin/scoring@";
/// Interfaces that have only types. A component that exports `scoring` imports them by name, without functions.
const TYPES_INTERFACES: [&str; 2] = ["assay:plugin/columns@", "assay:plugin/manifests@"];

/// Uploaded bytes that passed the checks.
#[derive(Debug)]
pub(crate) struct Upload<'a> {
    pub(crate) bytes: &'a [u8],
    encoding: Encoding,
    /// The full name of its exported interface, such as `assay:plugin/scoring@1.0.0`.
    pub(crate) scoring: String,
}

impl<'a> Upload<'a> {
    /// Checks a plain core module or a component.
    pub(crate) fn read(bytes: &'a [u8], config: &RuntimeConfig) -> Result<Self, PluginError> {
        if bytes.is_empty() {
            return Err(PluginError::Empty);
        }
        // The parser's message about another beginning is a list of bytes.
        if !bytes.starts_with(WASM_MAGIC) {
            return Err(PluginError::NotWasm("it does not begin like one".to_owned()));
        }
        if bytes.len() > config.max_module_bytes {
            return Err(PluginError::TooLarge { bytes: bytes.len(), max: config.max_module_bytes });
        }
        let summary = BinarySummary::read(bytes)?;
        summary.check_size(config)?;
        summary.check_imports()?;
        let scoring = summary.find_scoring_interface()?;
        Ok(Self { bytes, encoding: summary.encoding, scoring })
    }

    /// The upload as a component. A core module is converted.
    pub(crate) fn component(&self) -> Result<Cow<'a, [u8]>, PluginError> {
        match self.encoding {
            Encoding::Component => Ok(Cow::Borrowed(self.bytes)),
            Encoding::Module => {
                componentize(self.bytes, self.scoring.strip_prefix(SCORING_INTERFACE).unwrap_or_default())
                    .map(Cow::Owned)
            }
        }
    }
}

/// The imports and exports of the outermost level of a binary (for a core module: the interfaces in the names of its
/// exports), and the number and size of functions on all levels.
struct BinarySummary {
    encoding: Encoding,
    imports: Vec<String>,
    exports: Vec<String>,
    functions: u64,
    largest_function: usize,
}

impl BinarySummary {
    fn read(bytes: &[u8]) -> Result<Self, PluginError> {
        let mut summary = Self {
            encoding: Encoding::Module,
            imports: Vec::new(),
            exports: Vec::new(),
            functions: 0,
            largest_function: 0,
        };
        let mut depth = 0_u32;
        for payload in Parser::new(0).parse_all(bytes) {
            let payload = payload.map_err(PluginError::unreadable)?;
            match &payload {
                Payload::Version { encoding, .. } => {
                    if depth == 0 {
                        summary.encoding = *encoding;
                    }
                    depth += 1;
                }
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::CodeSectionStart { count, .. } => summary.functions += u64::from(*count),
                Payload::CodeSectionEntry(body) => {
                    summary.largest_function = summary.largest_function.max(body.range().len());
                }
                _ => {}
            }
            if depth == 1 {
                summary.add_section(payload).map_err(PluginError::unreadable)?;
            }
        }
        Ok(summary)
    }

    /// Adds the imports and exports of a section of the outermost level.
    fn add_section(&mut self, payload: Payload<'_>) -> Result<(), wasmparser::BinaryReaderError> {
        match payload {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import?;
                    self.imports.push(format!("{}.{}", import.module, import.name));
                }
            }
            Payload::ComponentImportSection(section) => {
                for import in section {
                    self.imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    self.add_interface(export?.name);
                }
            }
            Payload::ComponentExportSection(section) => {
                for export in section {
                    self.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Adds the interface of a core module's export such as `assay:plugin/scoring@1.0.0#score`.
    fn add_interface(&mut self, export: &str) {
        let interface = export.split_once('#').map(|(interface, _)| interface);
        // `cabi_post_...` functions free returned values. Their interfaces are known from other exports.
        let interface = interface.filter(|name| !name.starts_with("cabi_"));
        if let Some(name) = interface.filter(|name| !self.exports.iter().any(|known| known == name)) {
            self.exports.push(name.to_owned());
        }
    }

    fn check_size(&self, config: &RuntimeConfig) -> Result<(), PluginError> {
        let max = u64::from(config.max_functions);
        if self.functions > max {
            return Err(PluginError::TooComplex { what: "functions", found: self.functions, max });
        }
        let (found, max) = (self.largest_function as u64, config.max_function_bytes as u64);
        if found > max {
            return Err(PluginError::TooComplex { what: "bytes of one function", found, max });
        }
        Ok(())
    }

    fn check_imports(&self) -> Result<(), PluginError> {
        let is_types = |name: &str| TYPES_INTERFACES.iter().any(|types| is_version_1(name, types));
        let imports: Vec<String> = self.imports.iter().filter(|name| !is_types(name)).cloned().collect();
        if imports.is_empty() { Ok(()) } else { Err(PluginError::Imports(imports)) }
    }

    fn find_scoring_interface(&self) -> Result<String, PluginError> {
        if let Some(name) = self.exports.iter().find(|name| is_version_1(name, SCORING_INTERFACE)) {
            return Ok(name.clone());
        }
        if self.exports.is_empty() && self.encoding == Encoding::Module {
            return Err(PluginError::NoInterface);
        }
        let found = if self.exports.is_empty() { "no exports".to_owned() } else { self.exports.join(", ") };
        Err(PluginError::WrongWorld { found })
    }
}

/// True for `prefix` followed by a version 1.x. Records and functions never change within 1.x.
fn is_version_1(name: &str, prefix: &str) -> bool {
    let version = name.strip_prefix(prefix).and_then(|version| Version::parse(version).ok());
    version.is_some_and(|version| version.major == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_1_x_has_the_same_contract() {
        for good in ["assay:plugin/scoring@1.0.0", "assay:plugin/scoring@1.4.2"] {
            assert!(is_version_1(good, SCORING_INTERFACE), "{good}");
        }
        for bad in ["assay:plugin/scoring@2.0.0", "assay:plugin/scoring", "assay:plugin/scoring@1", "x@1.0.0"] {
            assert!(!is_version_1(bad, SCORING_INTERFACE), "{bad}");
        }
    }
}
