//! The smallest plugin there is, written byte by byte: it has a manifest of one's own and says nothing of any event.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the message")]

/// Where the manifest is in the plugin's memory. Below it is nothing but zeros, which are any answer without content.
const MANIFEST: u32 = 1024;
/// What the answers of all other functions are: a result that is no error.
const NOTHING: u32 = 16;
/// Where the host writes arguments, which nobody reads.
const ARGUMENTS: u32 = 32 << 10;
/// The bytes of the manifest's record, before its texts.
const RECORD_BYTES: u32 = 88;
/// The functions: name, number of parameters of 32 bits, the number that is their answer.
const FUNCTIONS: [(&str, u8, u32); 5] = [
    ("assay:plugin/scoring@1.0.0#describe", 0, MANIFEST),
    ("assay:plugin/scoring@1.0.0#configure", 2, NOTHING),
    ("assay:plugin/scoring@1.0.0#score", 9, NOTHING),
    ("assay:plugin/scoring@1.0.0#migrate", 5, NOTHING),
    ("cabi_realloc", 4, ARGUMENTS),
];

/// A plugin without inputs, tags and state, whose config has this schema.
pub(crate) fn plugin_with_schema(name: &str, schema: &str) -> Vec<u8> {
    let list = |items: &[Vec<u8>]| [leb128(items.len() as u32), items.concat()].concat();
    let types = FUNCTIONS
        .map(|(_, parameters, _)| [&[0x60, parameters][..], &vec![0x7f; parameters.into()], &[1, 0x7f]].concat());
    let indices: Vec<Vec<u8>> = (0..FUNCTIONS.len() as u8).map(|index| vec![index]).collect();
    let export = |name: &str, kind: u8, index: u8| [&[name.len() as u8][..], name.as_bytes(), &[kind, index]].concat();
    let mut exports: Vec<Vec<u8>> =
        FUNCTIONS.iter().zip(0..).map(|((name, ..), index)| export(name, 0, index)).collect();
    exports.push(export("memory", 2, 0));
    // No locals; i32.const ANSWER; end.
    let bodies = FUNCTIONS.map(|(.., answer)| {
        let code = [&[0, 0x41][..], &signed_leb128(answer), &[0x0b]].concat();
        [leb128(code.len() as u32), code].concat()
    });
    let manifest = manifest(name, schema);
    // In memory 0, at i32.const MANIFEST.
    let data = [&[0, 0x41][..], &signed_leb128(MANIFEST), &[0x0b], &leb128(manifest.len() as u32), &manifest].concat();
    let sections = [
        (1, list(&types)),
        (3, list(&indices)),
        // One memory of at least four pages.
        (5, vec![1, 0, 4]),
        (7, list(&exports)),
        (10, list(&bodies)),
        (11, list(&[data])),
    ];
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    for (id, content) in sections {
        module.push(id);
        module.extend(leb128(content.len() as u32));
        module.extend(content);
    }
    module
}

/// The manifest as it lies in memory: pointers and lengths of its texts and lists, and the texts behind them.
fn manifest(name: &str, schema: &str) -> Vec<u8> {
    let mut texts = Vec::new();
    let mut text = |text: &str| {
        let at = MANIFEST + RECORD_BYTES + texts.len() as u32;
        texts.extend_from_slice(text.as_bytes());
        [at, text.len() as u32]
    };
    let (name, version, doc) = (text(name), text("1.0.0"), text("Says nothing."));
    let schema = text(schema);
    let mut record: Vec<u32> = [name, version, doc].concat();
    // No inputs, tags, reasons, edges and attributes.
    record.extend([0; 10]);
    record.extend(schema);
    // No version of states, and no annotations.
    record.extend([0; 4]);
    let mut bytes: Vec<u8> = record.iter().flat_map(|number| number.to_le_bytes()).collect();
    assert_eq!(bytes.len(), RECORD_BYTES as usize);
    bytes.extend(texts);
    bytes
}

fn leb128(mut value: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A number that is not negative, in the signed encoding: its last byte must not look like that of a negative one.
fn signed_leb128(value: u32) -> Vec<u8> {
    let mut bytes = leb128(value);
    let last = bytes.len() - 1;
    if bytes[last] & 0x40 != 0 {
        bytes[last] |= 0x80;
        bytes.push(0);
    }
    bytes
}
