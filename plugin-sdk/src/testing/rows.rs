//! Converts rows in JSON to the columns that a host would send.

use serde_json::Value;

use crate::bindings::{Bools, Column, Floats, Input, Ints, Kind, Texts};
use crate::column::kind_name;

/// The columns of a batch, one per input.
pub(super) fn columns(inputs: &[Input], rows: &[(&str, Value)]) -> Result<Vec<Column>, String> {
    for (index, (_, row)) in rows.iter().enumerate() {
        let object = row.as_object().ok_or_else(|| format!("row {index} is not an object: {row}"))?;
        if let Some(unknown) = object.keys().find(|key| !inputs.iter().any(|input| &input.name == *key)) {
            let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
            return Err(format!("row {index}: `{unknown}` is not an input; the inputs are {}", names.join(", ")));
        }
    }
    inputs.iter().map(|input| column(input, rows)).collect()
}

fn column(input: &Input, rows: &[(&str, Value)]) -> Result<Column, String> {
    let cells = Cells { input, rows };
    let present = cells.present()?;
    Ok(match input.kind {
        Kind::Float => Column::Floats(Floats { values: cells.read(Value::as_f64)?, present }),
        Kind::Int => Column::Ints(Ints { values: cells.read(Value::as_i64)?, present }),
        Kind::Timestamp => Column::Times(Ints { values: cells.read(Value::as_i64)?, present }),
        Kind::Boolean => Column::Bools(Bools { values: bitmap(&cells.read(Value::as_bool)?), present }),
        Kind::Text => {
            let mut texts = Texts { ends: Vec::new(), data: Vec::new(), present };
            for text in cells.read(|value| value.as_str().map(str::to_owned))? {
                texts.data.extend_from_slice(text.as_bytes());
                texts.ends.push(texts.data.len() as u32);
            }
            Column::Texts(texts)
        }
    })
}

/// The cells of one input in all rows.
struct Cells<'a> {
    input: &'a Input,
    rows: &'a [(&'a str, Value)],
}

impl Cells<'_> {
    fn iter(&self) -> impl Iterator<Item = Option<&Value>> {
        self.rows.iter().map(|(_, row)| row.get(&self.input.name).filter(|value| !value.is_null()))
    }

    /// The presence bitmap. As from a host, it is empty if every row has a value.
    fn present(&self) -> Result<Vec<u8>, String> {
        let present: Vec<bool> = self.iter().map(|cell| cell.is_some()).collect();
        match present.iter().position(|present| !present) {
            None => Ok(Vec::new()),
            Some(row) if self.input.required => {
                Err(format!("row {row} lacks the required input `{}`", self.input.name))
            }
            Some(_) => Ok(bitmap(&present)),
        }
    }

    /// The values, with the type's default for missing ones.
    fn read<T: Default>(&self, read: impl Fn(&Value) -> Option<T>) -> Result<Vec<T>, String> {
        let read_cell = |(row, cell): (usize, Option<&Value>)| match cell {
            None => Ok(T::default()),
            Some(value) => read(value).ok_or_else(|| {
                format!("row {row}: `{}` should be {}, not {value}", self.input.name, article(self.input.kind))
            }),
        };
        self.iter().enumerate().map(read_cell).collect()
    }
}

fn article(kind: Kind) -> String {
    let name = kind_name(kind);
    if kind == Kind::Int { format!("an {name}") } else { format!("a {name}") }
}

fn bitmap(bits: &[bool]) -> Vec<u8> {
    let byte = |bits: &[bool]| bits.iter().enumerate().fold(0, |byte, (i, &bit)| byte | u8::from(bit) << i);
    bits.chunks(8).map(byte).collect()
}
