//! Rows for the hostile guest as columns, and the verdicts that are expected of it.

use assay_runtime::{Attribute, Batch, Blobs, Bools, Column, Edge, Floats, Ints, Reason, Tag, Texts, Verdicts};

/// A row for the hostile guest.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) a: f64,
    pub(crate) b: f64,
    pub(crate) note: Option<String>,
    pub(crate) flag: Option<bool>,
    pub(crate) count: Option<i64>,
    pub(crate) at: i64,
}

/// A row without optional values.
pub(crate) fn plain(a: f64) -> Row {
    Row { a, b: 1.0, note: None, flag: None, count: None, at: 0 }
}

/// Rows as columns.
#[derive(Default)]
pub(crate) struct RowColumns {
    rows: u32,
    a: Vec<f64>,
    b: Vec<f64>,
    note_ends: Vec<u32>,
    note_data: Vec<u8>,
    note_present: Vec<u8>,
    flag: Vec<u8>,
    flag_present: Vec<u8>,
    count: Vec<i64>,
    count_present: Vec<u8>,
    at: Vec<i64>,
}

fn pack_bits(bits: impl Iterator<Item = bool>) -> Vec<u8> {
    let mut packed = Vec::new();
    for (i, bit) in bits.enumerate() {
        if i % 8 == 0 {
            packed.push(0);
        }
        packed[i / 8] |= u8::from(bit) << (i % 8);
    }
    packed
}

impl RowColumns {
    pub(crate) fn from_rows(rows: &[Row]) -> Self {
        let mut columns = Self {
            rows: rows.len() as u32,
            a: rows.iter().map(|row| row.a).collect(),
            b: rows.iter().map(|row| row.b).collect(),
            note_present: pack_bits(rows.iter().map(|row| row.note.is_some())),
            flag: pack_bits(rows.iter().map(|row| row.flag == Some(true))),
            flag_present: pack_bits(rows.iter().map(|row| row.flag.is_some())),
            count: rows.iter().map(|row| row.count.unwrap_or_default()).collect(),
            count_present: pack_bits(rows.iter().map(|row| row.count.is_some())),
            at: rows.iter().map(|row| row.at).collect(),
            ..Self::default()
        };
        for row in rows {
            columns.note_data.extend(row.note.iter().flat_map(|note| note.bytes()));
            columns.note_ends.push(columns.note_data.len() as u32);
        }
        columns
    }

    pub(crate) fn batch(&self) -> Batch<'_> {
        let floats = |values| Column::Floats(Floats { values, present: &[] });
        Batch {
            rows: self.rows,
            columns: vec![
                floats(&self.a[..]),
                floats(&self.b[..]),
                Column::Texts(Texts { ends: &self.note_ends, data: &self.note_data, present: &self.note_present }),
                Column::Bools(Bools { values: &self.flag, present: &self.flag_present }),
                Column::Ints(Ints { values: &self.count, present: &self.count_present }),
                Column::Times(Ints { values: &self.at, present: &[] }),
            ],
            entities: &[],
            states: Blobs::default(),
        }
    }
}

/// The verdicts of the guest, without those of rows on which it fails.
pub(crate) fn expected(rows: &[Row], is_poisonous: impl Fn(&Row) -> bool) -> Verdicts {
    let mut verdicts = Verdicts::default();
    for (i, row) in rows.iter().enumerate() {
        if is_poisonous(row) {
            verdicts.scores.push(f64::NAN);
            continue;
        }
        let (index, score) = (i as u32, row.a + row.b);
        verdicts.scores.push(score);
        if score > 100.0 {
            verdicts.tags.push(Tag { row: index, name: 0 });
            verdicts.reasons.push(Reason { row: index, code: 0, weight: score });
        }
        if let Some(note) = &row.note {
            verdicts.attributes.push(Attribute { row: index, name: 0, value: note.clone() });
        }
        if row.flag == Some(true) {
            verdicts.tags.push(Tag { row: index, name: 1 });
        }
        if let Some(count) = row.count {
            let (source, target) = (count.to_string(), row.at.to_string());
            verdicts.edges.push(Edge { row: index, name: 0, source, target });
        }
    }
    verdicts
}

/// Fails if two verdicts differ anywhere.
pub(crate) fn assert_same(found: &Verdicts, expected: &Verdicts) {
    let score_bits = |verdicts: &Verdicts| verdicts.scores.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
    assert_eq!(score_bits(found), score_bits(expected), "{:?} / {:?}", found.scores, expected.scores);
    assert_eq!(found.tags, expected.tags);
    assert_eq!(found.reasons, expected.reasons);
    assert_eq!(found.edges, expected.edges);
    assert_eq!(found.attributes, expected.attributes);
}
