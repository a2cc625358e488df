//! Recognises the compression and the format of a file by its first bytes, so that pipes work too.

use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use flate2::bufread::MultiGzDecoder;
use serde::de::IgnoredAny;

use super::{avro, csv};

/// The context of errors while a file is read.
pub(super) const UNREADABLE: &str = "reading the file failed";
/// How much is read at once.
const BUFFER_BYTES: usize = 256 << 10;
/// How many bytes are inspected to recognise a format. A file with a longer first line is read as JSON lines.
const MAX_SNIFF_BYTES: u64 = 1 << 20;

const GZIP: &[u8] = b"\x1f\x8b";
const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";
/// The first bytes of unsupported formats, with the remedy.
const FOREIGN: [(&[u8], &str); 7] = [
    (b"\xff\xfe", "is UTF-16: convert it to UTF-8, as with iconv -f UTF-16 -t UTF-8"),
    (b"\xfe\xff", "is UTF-16: convert it to UTF-8, as with iconv -f UTF-16 -t UTF-8"),
    (b"PK\x03\x04", "is a zip archive: unpack it first"),
    (b"BZh", "is compressed with bzip2: unpack it first, as with bzcat FILE | assay ingest STREAM -"),
    (b"\xfd7zX", "is compressed with xz: unpack it first, as with xzcat FILE | assay ingest STREAM -"),
    (b"PAR1", "is Parquet, which is not supported: write it as JSON lines, CSV or Avro"),
    (b"ORC", "is ORC, which is not supported: write it as JSON lines, CSV or Avro"),
];

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// An Avro object container file.
    Avro,
    /// One JSON object per line.
    Lines,
    /// JSON objects over several lines, or in an array.
    Values,
    /// Comma-separated values.
    Csv,
}

/// A decompressed file with its format.
pub(super) struct Source {
    pub(super) shape: Shape,
    pub(super) input: Box<dyn BufRead>,
}

/// Opens a file, or standard input. The second part is its length, if that is known.
pub(super) fn open_file(file: &Path) -> Result<(Box<dyn Read>, Option<u64>)> {
    if file.as_os_str() == "-" {
        return Ok((Box::new(std::io::stdin().lock()), None));
    }
    let open = || -> std::io::Result<_> {
        let opened = File::open(file)?;
        let metadata = opened.metadata()?;
        Ok((opened, metadata))
    };
    let (opened, metadata) = open().with_context(|| format!("cannot read {}", file.display()))?;
    if metadata.is_dir() {
        bail!("{} is a folder: give a file", file.display());
    }
    Ok((Box::new(opened), metadata.is_file().then_some(metadata.len())))
}

/// Recognises the format of a file, and decompresses it.
///
/// # Errors
/// The file cannot be read, or its format is not supported.
pub(super) fn recognize(raw: impl Read + 'static, file: &Path) -> Result<Source> {
    let mut raw = BufReader::with_capacity(BUFFER_BYTES, raw);
    let head = read_head(&mut raw, 4)?;
    let whole = Cursor::new(head.clone()).chain(raw);
    let unpacked: Box<dyn BufRead> = if head.starts_with(GZIP) {
        Box::new(BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(whole)))
    } else if head.starts_with(ZSTD) {
        let decoder = zstd::Decoder::with_buffer(whole).context(UNREADABLE)?;
        Box::new(BufReader::with_capacity(BUFFER_BYTES, decoder))
    } else {
        Box::new(whole)
    };
    recognize_format(unpacked, file)
}

fn recognize_format(mut input: Box<dyn BufRead>, file: &Path) -> Result<Source> {
    let mut head = read_head(&mut input, 4)?;
    let found = FOREIGN.iter().find(|(magic, _)| head.starts_with(magic));
    let is_wide = matches!(head[..], [b'{' | b'[', 0, ..] | [0, b'{' | b'[', ..]);
    if let Some((_, what)) = found.or(is_wide.then_some(&FOREIGN[0])) {
        bail!("{} {what}", if file.as_os_str() == "-" { "the input".into() } else { file.display().to_string() });
    }
    if head.starts_with(avro::MAGIC) {
        return Ok(Source { shape: Shape::Avro, input: Box::new(Cursor::new(head).chain(input)) });
    }
    if head.starts_with(b"\xef\xbb\xbf") {
        head.drain(..3);
    }
    let mut input = Cursor::new(head).chain(input);
    // The first line that is not empty.
    let mut first_lines = Vec::new();
    loop {
        let before = first_lines.len();
        let left = MAX_SNIFF_BYTES.saturating_sub(first_lines.len() as u64);
        let read = input.by_ref().take(left).read_until(b'\n', &mut first_lines).context(UNREADABLE)?;
        if read == 0 || !first_lines[before..].trim_ascii().is_empty() {
            break;
        }
    }
    let shape = detect_shape(first_lines.trim_ascii(), file);
    Ok(Source { shape, input: Box::new(Cursor::new(first_lines).chain(input)) })
}

fn detect_shape(first_line: &[u8], file: &Path) -> Shape {
    match first_line.first() {
        Some(b'[') => Shape::Values,
        // An object that continues on the next line.
        Some(b'{') => match serde_json::from_slice::<IgnoredAny>(first_line) {
            Err(error) if error.is_eof() => Shape::Values,
            _ => Shape::Lines,
        },
        Some(_) if is_named_csv(file) || csv::is_header(first_line) => Shape::Csv,
        _ => Shape::Lines,
    }
}

/// Whether the file's name has an ending of CSV.
fn is_named_csv(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(&name);
    name.ends_with(".csv") || name.ends_with(".tsv")
}

/// The first bytes, fewer at the end of the file.
fn read_head(input: &mut impl Read, length: u64) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    input.by_ref().take(length).read_to_end(&mut head).context(UNREADABLE)?;
    Ok(head)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn recognized(bytes: &[u8], name: &str) -> Result<(Shape, Vec<u8>)> {
        let mut source = recognize(Cursor::new(bytes.to_vec()), Path::new(name))?;
        let mut text = Vec::new();
        source.input.read_to_end(&mut text)?;
        Ok((source.shape, text))
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn formats_are_recognised_by_content() {
        for (text, name, shape) in [
            ("{\"a\":1}\n{\"a\":2}\n", "a.jsonl", Shape::Lines),
            ("\n\n{\"a\":1}", "-", Shape::Lines),
            ("{bad\n{\"a\":2}\n", "a", Shape::Lines),
            ("nonsense", "a.jsonl", Shape::Lines),
            ("", "a.jsonl", Shape::Lines),
            ("{\n \"a\": 1\n}\n", "a.json", Shape::Values),
            ("  [{\"a\":1},\n{\"a\":2}]", "a.json", Shape::Values),
            ("id,card\n1,2\n", "-", Shape::Csv),
            ("id;card\r\n1;2\r\n", "a.txt", Shape::Csv),
            ("id\n1\n", "a.csv", Shape::Csv),
            ("Obj\x01...", "a", Shape::Avro),
        ] {
            let bytes = text.as_bytes();
            assert_eq!(recognized(bytes, name).unwrap(), (shape, bytes.to_vec()), "{text:?}");
            let zstd = zstd::encode_all(bytes, 1).unwrap();
            for packed in [gzip(bytes), zstd] {
                assert_eq!(recognized(&packed, name).unwrap(), (shape, bytes.to_vec()), "{text:?}, packed");
            }
        }
        let with_mark = "\u{feff}{\"a\":1}\n".as_bytes();
        assert_eq!(recognized(with_mark, "a").unwrap(), (Shape::Lines, b"{\"a\":1}\n".to_vec()));
    }

    #[test]
    fn packed_parts_one_after_another_are_one_file() {
        let parts = [&b"{\"a\":1}\n"[..], b"", b"{\"a\":2}\n"];
        let gzipped = parts.map(gzip).concat();
        let zstd = parts.map(|part| zstd::encode_all(part, 1).unwrap()).concat();
        for packed in [&gzipped, &zstd] {
            assert_eq!(recognized(packed, "a").unwrap(), (Shape::Lines, parts.concat()));
            assert!(recognized(&packed[..packed.len() - 3], "a").is_err(), "it breaks off");
        }
        assert!(recognized(&[gzipped.as_slice(), b"garbage"].concat(), "a").is_err());
    }

    #[test]
    fn unsupported_formats_have_advice() {
        for (bytes, said) in [
            (&b"\xff\xfe{\0"[..], "a.json is UTF-16: convert it to UTF-8"),
            (b"{\0\"\0a\0", "a.json is UTF-16"),
            (b"PK\x03\x04....", "zip archive: unpack it"),
            (b"PAR1....", "Parquet, which is not supported"),
        ] {
            let error = recognized(bytes, "a.json").unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
