//! Three-valued logic, presence and choice: the kernels that give a meaning to what is missing.

use arrow_arith::boolean;
use arrow_array::{Array as _, BooleanArray};
use arrow_buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};

use crate::expr::column::{Column, Native, Numbers, mistyped};
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

/// Whether there is a value.
pub(in crate::expr) fn is_present(arguments: &[Column], rows: usize) -> Column {
    Column::Bools(arguments[0].present(rows), None)
}

/// Whether there is no value.
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
    select(&mask, &arguments[1], &arguments[2], rows).also_missing(condition.nulls())
}

/// The first where it is there, else the second.
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
            let values = pick_numbers(mask, numbers(a, 0_i64), numbers(b, 0_i64), rows);
            Column::Ints(ScalarBuffer::from(values), nulls)
        }
        Column::Doubles(..) | Column::Constant(crate::expr::column::Constant::Double(_)) => {
            let values = pick_numbers(mask, numbers(a, 0.0), numbers(b, 0.0), rows);
            Column::Doubles(ScalarBuffer::from(values), nulls)
        }
        Column::Texts(_) | Column::Constant(crate::expr::column::Constant::Text(_)) => {
            pick_texts(mask, a, b, nulls.as_ref(), rows)
        }
        Column::Lists(_) | Column::Constant(crate::expr::column::Constant::Null) => mistyped(),
    }
}

fn numbers<T: Native>(column: &Column, unread: T) -> Numbers<'_, T> {
    if column.is_null() { Numbers::One(unread) } else { T::of(column) }
}

fn pick_bits(mask: &BooleanBuffer, a: &BooleanBuffer, b: &BooleanBuffer) -> BooleanBuffer {
    &(mask & a) | &(&!mask & b)
}

fn pick_numbers<T: Copy>(mask: &BooleanBuffer, a: Numbers<'_, T>, b: Numbers<'_, T>, rows: usize) -> Vec<T> {
    (0..rows).map(|row| if mask.value(row) { a.at(row) } else { b.at(row) }).collect()
}

fn pick_texts(mask: &BooleanBuffer, a: &Column, b: &Column, nulls: Option<&NullBuffer>, rows: usize) -> Column {
    let mut builder = TextBuilder::new(rows);
    for row in 0..rows {
        if nulls.is_some_and(|nulls| nulls.is_null(row)) {
            builder.push_missing();
        } else {
            // A constant null is never reached here: its rows are missing.
            builder.push(if mask.value(row) { a.texts().get(row) } else { b.texts().get(row) });
        }
    }
    Column::Texts(builder.finish())
}
