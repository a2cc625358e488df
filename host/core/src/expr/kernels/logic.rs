//! Three-valued logic, presence and choice: the kernels that decide themselves about missing arguments.

use arrow_arith::boolean;
use arrow_array::{Array as _, BooleanArray};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};

use crate::expr::column::{Column, Native, NumberOperand, mistyped};
use crate::expr::text_builder::TextBuilder;

/// False if either is false, else missing if either is missing.
pub(in crate::expr) fn and(arguments: &[Column], rows: usize) -> Column {
    kleene(arguments, rows, boolean::and_kleene)
}

/// True if either is true, else missing if either is missing.
pub(in crate::expr) fn or(arguments: &[Column], rows: usize) -> Column {
    kleene(arguments, rows, boolean::or_kleene)
}

type Kleene = fn(&BooleanArray, &BooleanArray) -> Result<BooleanArray, arrow_schema::ArrowError>;

fn kleene(arguments: &[Column], rows: usize, operation: Kleene) -> Column {
    match operation(&arguments[0].booleans(rows), &arguments[1].booleans(rows)) {
        Ok(array) => array.into(),
        // It fails only for arrays of different lengths.
        Err(_) => mistyped(),
    }
}

/// True for false.
pub(in crate::expr) fn not(arguments: &[Column], rows: usize) -> Column {
    Column::Bools(!arguments[0].booleans(rows).values(), None)
}

/// True if there is a value.
pub(in crate::expr) fn is_present(arguments: &[Column], rows: usize) -> Column {
    Column::Bools(arguments[0].present(rows), None)
}

/// True if there is no value.
pub(in crate::expr) fn is_missing(arguments: &[Column], rows: usize) -> Column {
    Column::Bools(!&arguments[0].present(rows), None)
}

/// The second where the first is true, the third where it is false, missing where it is missing.
pub(in crate::expr) fn choose(arguments: &[Column], rows: usize) -> Column {
    let condition = arguments[0].booleans(rows);
    let mask = match condition.nulls() {
        Some(nulls) => condition.values() & nulls.inner(),
        None => condition.values().clone(),
    };
    select(&mask, &arguments[1], &arguments[2], rows).union_nulls(condition.nulls())
}

/// The first argument where it has a value, else the second.
pub(in crate::expr) fn coalesce(arguments: &[Column], rows: usize) -> Column {
    match arguments[0].nulls() {
        None if arguments[0].is_null() => arguments[1].clone(),
        None => arguments[0].clone(),
        Some(nulls) => select(nulls.inner(), &arguments[0], &arguments[1], rows),
    }
}

/// `a` where the mask is set, else `b`.
fn select(mask: &BooleanBuffer, a: &Column, b: &Column, rows: usize) -> Column {
    let nulls = (a.is_null() || b.is_null() || a.nulls().is_some() || b.nulls().is_some())
        .then(|| NullBuffer::new(pick_bits(mask, &a.present(rows), &b.present(rows))));
    let typed = if a.is_null() { b } else { a };
    match typed {
        _ if a.is_null() && b.is_null() => a.clone(),
        Column::Bools(..) | Column::Constant(crate::expr::column::Constant::Bool(_)) => {
            Column::Bools(pick_bits(mask, a.booleans(rows).values(), b.booleans(rows).values()), nulls)
        }
        Column::Ints(..) | Column::Constant(crate::expr::column::Constant::Int(_)) => {
            let values = pick_numbers(mask, numbers_or(a, 0_i64), numbers_or(b, 0_i64), rows);
            Column::Ints(ScalarBuffer::from(values), nulls)
        }
        Column::Doubles(..) | Column::Constant(crate::expr::column::Constant::Double(_)) => {
            let values = pick_numbers(mask, numbers_or(a, 0.0), numbers_or(b, 0.0), rows);
            Column::Doubles(ScalarBuffer::from(values), nulls)
        }
        Column::Texts(_) | Column::Constant(crate::expr::column::Constant::Text(_)) => {
            pick_texts(mask, a, b, nulls.as_ref(), rows)
        }
        Column::Lists(_) | Column::Constant(crate::expr::column::Constant::Null) => mistyped(),
    }
}

/// The numbers of a column; for the constant null a number that is never read.
fn numbers_or<T: Native>(column: &Column, unread: T) -> NumberOperand<'_, T> {
    if column.is_null() { NumberOperand::One(unread) } else { T::numbers(column) }
}

fn pick_bits(mask: &BooleanBuffer, a: &BooleanBuffer, b: &BooleanBuffer) -> BooleanBuffer {
    &(mask & a) | &(&!mask & b)
}

fn pick_numbers<T: Copy>(
    mask: &BooleanBuffer,
    a: NumberOperand<'_, T>,
    b: NumberOperand<'_, T>,
    rows: usize,
) -> Vec<T> {
    (0..rows).map(|row| if mask.value(row) { a.at(row) } else { b.at(row) }).collect()
}

fn pick_texts(mask: &BooleanBuffer, a: &Column, b: &Column, nulls: Option<&NullBuffer>, rows: usize) -> Column {
    let mut builder = TextBuilder::new(rows);
    for row in 0..rows {
        if nulls.is_some_and(|nulls| nulls.is_null(row)) {
            builder.push_missing();
        } else {
            // A constant null is never read here: its rows are missing.
            builder.push(if mask.value(row) { a.texts().get(row) } else { b.texts().get(row) });
        }
    }
    Column::Texts(builder.finish())
}
