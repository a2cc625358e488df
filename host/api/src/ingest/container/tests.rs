//! Files of a real writer, of all codecs, and files that were tampered with.

use std::io::Write as _;

use apache_avro::types::Record;
use assay_core::wire::put_signed;
use proptest::prelude::*;

use super::*;

const SCHEMA: &str =
    r#"{"type": "record", "name": "E", "fields": [{"name": "id", "type": "string"}, {"name": "n", "type": "long"}]}"#;
const LIMITS: Limits = Limits { bytes: 1 << 20, events: 1000 };

/// A file of the Avro library, in blocks of 10 records.
fn written(codec: apache_avro::Codec, records: i64) -> Vec<u8> {
    let schema = apache_avro::Schema::parse_str(SCHEMA).unwrap();
    let mut writer = apache_avro::Writer::with_codec(&schema, Vec::new(), codec).unwrap();
    for n in 0..records {
        let mut record = Record::new(&schema).unwrap();
        record.put("id", format!("e{n}"));
        record.put("n", n);
        writer.append_value(record).unwrap();
        if n % 10 == 9 {
            writer.flush().unwrap();
        }
    }
    writer.into_inner().unwrap()
}

/// A file of one block with a codec that is made here.
fn packed(codec: &str, count: i64, packed: &[u8]) -> Vec<u8> {
    let mut file = b"Obj\x01".to_vec();
    let text = |file: &mut Vec<u8>, text: &str| {
        put_signed(file, text.len() as i64);
        file.extend_from_slice(text.as_bytes());
    };
    put_signed(&mut file, 2);
    text(&mut file, "avro.codec");
    text(&mut file, codec);
    text(&mut file, "avro.schema");
    text(&mut file, SCHEMA);
    file.push(0);
    file.extend_from_slice(&[7; 16]);
    put_signed(&mut file, count);
    put_signed(&mut file, packed.len() as i64);
    file.extend_from_slice(packed);
    file.extend_from_slice(&[7; 16]);
    file
}

/// Two records: e0 with 0, e1 with 1.
const TWO: &[u8] = b"\x04e0\x00\x04e1\x02";

fn snappy(bytes: &[u8]) -> Vec<u8> {
    let mut out = snap::raw::Encoder::new().compress_vec(bytes).unwrap();
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    out.extend_from_slice(&crc.sum().to_be_bytes());
    out
}

fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn read_within(limits: Limits, file: &[u8]) -> Result<Vec<Vec<u8>>, ApiError> {
    let mut records = Vec::new();
    Container::open(file)?.for_each_record(limits, |number, record| {
        assert_eq!(number, records.len() + 1);
        records.push(record.map_or_else(|error| error.to_string().into_bytes(), <[u8]>::to_vec));
    })?;
    Ok(records)
}

fn read(file: &[u8]) -> Result<Vec<Vec<u8>>, ApiError> {
    read_within(LIMITS, file)
}

#[test]
fn files_of_the_avro_library_are_read() {
    for codec in [apache_avro::Codec::Null, apache_avro::Codec::Deflate(Default::default())] {
        let records = read(&written(codec, 25)).unwrap();
        assert_eq!(records.len(), 25);
        assert_eq!(records[24], b"\x06e24\x30");
    }
    assert_eq!(read(&written(apache_avro::Codec::Null, 0)).unwrap().len(), 0);
}

#[test]
fn every_codec_is_decompressed() {
    let zstandard = zstd::encode_all(TWO, 19).unwrap();
    let files = [("null", TWO.to_vec()), ("deflate", deflate(TWO)), ("snappy", snappy(TWO)), ("zstandard", zstandard)];
    for (codec, bytes) in files {
        assert_eq!(read(&packed(codec, 2, &bytes)).unwrap(), [b"\x04e0\x00", b"\x04e1\x02"], "{codec}");
    }
    let refused = read(&packed("bzip2", 2, TWO)).unwrap_err();
    assert!(refused.detail.contains("'bzip2': expected null, deflate, snappy or zstandard"), "{}", refused.detail);
}

#[test]
fn a_bomb_is_given_up_at_the_limit() {
    let zeros = vec![0; 2 << 20];
    let zstandard = zstd::encode_all(zeros.as_slice(), 3).unwrap();
    let bombs =
        [("null", zeros.clone()), ("deflate", deflate(&zeros)), ("snappy", snappy(&zeros)), ("zstandard", zstandard)];
    for (codec, bytes) in bombs {
        let refused = read(&packed(codec, 2, &bytes)).unwrap_err();
        assert_eq!(
            (refused.code, refused.detail.as_str()),
            (Code::TooLarge, "more than 1 MiB uncompressed; send several smaller files"),
            "{codec}"
        );
    }
    let refused = read_within(Limits { events: 1, ..LIMITS }, &packed("null", 2, TWO)).unwrap_err();
    assert_eq!(
        (refused.code, refused.detail.as_str()),
        (Code::TooLarge, "more than 1 events; send several smaller files")
    );
    assert_eq!(read(&packed("null", i64::MAX, TWO)).unwrap_err().code, Code::TooLarge);
}

#[test]
fn damage_is_reported_with_its_place() {
    let file = packed("null", 2, TWO);
    let said = |file: &[u8]| read(file).unwrap_err().detail;
    let cases = [
        (said(b""), "begin as an Avro object container file"),
        (said(b"[{}]"), "begin as an Avro object container file"),
        (said(&file[..40]), "header breaks off"),
        (said(&file[..file.len() - 1]), "block 1 breaks off"),
        (said(&[&file[..], b"\x02"].concat()), "block 2 breaks off"),
        (said(&[&file[..file.len() - 16], &[8; 16][..]].concat()), "after block 1 the file's sync marker is missing"),
        (said(&packed("null", 1, TWO)), "block 1 has 4 bytes after its 1 events"),
        (said(&packed("null", -1, TWO)), "block 1 says that it has -1 events"),
        (said(&packed("deflate", 2, TWO)), "block 1 cannot be decompressed"),
        (said(&packed("snappy", 2, b"ab")), "it has no checksum"),
        (said(&packed("snappy", 2, &[&snappy(TWO)[..10], &[0; 4]].concat())), "block 1 cannot be decompressed"),
    ];
    for (said, expected) in cases {
        assert!(said.contains(expected) && said.ends_with("; nothing was stored"), "{said}: {expected}");
    }
}

#[test]
fn a_value_that_is_none_of_its_type_costs_its_record_alone() {
    let not_utf8 = b"\x04e0\x00\x02\xff\x02\x04e2\x04";
    assert_eq!(read(&packed("null", 3, not_utf8)).unwrap(), [b"\x04e0\x00" as &[u8], b"\x02\xff\x02", b"\x04e2\x04"]);
}

#[test]
fn a_record_without_an_end_costs_the_rest_of_its_block() {
    // The second record's text says that it has 100 bytes.
    let file = packed("null", 4, b"\x04e0\x00\xc8\x01e1\x02");
    let more = [&file[..], &packed("null", 2, TWO)[packed("null", 0, b"").len() - 18..]].concat();
    let records = read(&more).unwrap();
    let texts: Vec<String> = records.iter().map(|record| String::from_utf8_lossy(record).into_owned()).collect();
    assert_eq!((records.len(), &records[0][..], &records[5][..]), (6, b"\x04e0\x00" as &[u8], b"\x04e1\x02" as &[u8]));
    assert_eq!(texts[1], "malformed Avro at byte 2 (field `id`): the record ends inside this value");
    for lost in &texts[2..4] {
        assert!(lost.ends_with("because the end of event 2, in the same block, cannot be found"), "{lost}");
    }
}

proptest! {
    #[test]
    fn no_damage_makes_it_panic(place in 0..400_usize, byte: u8, cut in 0..400_usize) {
        let mut file = written(apache_avro::Codec::Deflate(Default::default()), 25);
        let place = place % file.len();
        file[place] = byte;
        let _ = read(&file);
        let _ = read(&file[..cut.min(file.len())]);
    }
}
