//! A projection of a schema, compiled to a flat list of steps that one record is read with.

use std::collections::HashMap;

use super::decimal::Decimal;
use super::fields::join;
use super::node::{Node, Record, Unit};
use super::{Field, FieldError, Schema};

/// What to do with the next bytes of a record.
#[derive(Debug)]
pub(super) enum Step {
    /// No column wants it: check it.
    Check(Node),
    /// Feed it to a column (its place in the projection).
    Boolean(usize),
    Int(usize),
    Long(usize),
    Timestamp(Unit, usize),
    Float(usize),
    Double(usize),
    Decimal(Decimal, usize),
    Text(usize),
    UuidText(usize),
    /// 16 bytes.
    Uuid(usize),
    Symbol(Vec<String>, usize),
    /// A union of null and what the next `steps` steps read. Where it is null, `columns` get nulls.
    Nullable {
        null: usize,
        steps: usize,
        columns: Vec<usize>,
    },
}

/// The steps of a projection.
#[derive(Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    /// The path that each step reads, for errors.
    pub(super) paths: Vec<String>,
    /// The projected fields, in the order asked for.
    pub(super) fields: Vec<Field>,
    /// Keeps the records that contain themselves.
    _schema: Schema,
}

impl Program {
    pub(super) fn new(schema: &Schema, projection: &[&str]) -> Result<Self, FieldError> {
        let mut wanted = HashMap::new();
        let mut fields = Vec::new();
        for (column, path) in projection.iter().enumerate() {
            fields.push(schema.field(path)?.clone());
            if wanted.insert((*path).to_owned(), column).is_some() {
                return Err(FieldError::Twice((*path).to_owned()));
            }
        }
        let mut compiler = Compiler { wanted, steps: Vec::new(), paths: Vec::new() };
        compiler.record(schema.record(), "");
        Ok(Self { steps: compiler.steps, paths: compiler.paths, fields, _schema: schema.clone() })
    }
}

struct Compiler {
    wanted: HashMap<String, usize>,
    steps: Vec<Step>,
    paths: Vec<String>,
}

impl Compiler {
    fn record(&mut self, record: &Record, prefix: &str) {
        for member in &record.members {
            self.node(&member.node, join(prefix, &member.name));
        }
    }

    fn node(&mut self, node: &Node, path: String) {
        let columns = self.columns_under(&path);
        if columns.is_empty() {
            return self.push(Step::Check(node.clone()), path);
        }
        if let Some((null, inner)) = node.nullable() {
            let place = self.steps.len();
            self.push(Step::Nullable { null, steps: 0, columns }, path.clone());
            self.node(inner, path);
            let body = self.steps.len() - place - 1;
            if let Step::Nullable { steps, .. } = &mut self.steps[place] {
                *steps = body;
            }
            return;
        }
        if let Node::Record(record) = node {
            return self.record(record, &path);
        }
        let step = leaf(node, columns[0]);
        self.push(step, path);
    }

    /// The columns that are this path or below it, in ascending order.
    fn columns_under(&self, path: &str) -> Vec<usize> {
        let below = format!("{path}.");
        let wanted = self.wanted.iter().filter(|(name, _)| *name == path || name.starts_with(&below));
        let mut columns: Vec<usize> = wanted.map(|(_, column)| *column).collect();
        columns.sort_unstable();
        columns
    }

    fn push(&mut self, step: Step, path: String) {
        self.steps.push(step);
        self.paths.push(path);
    }
}

fn leaf(node: &Node, column: usize) -> Step {
    match node {
        Node::Boolean => Step::Boolean(column),
        Node::Int | Node::Date | Node::Time(Unit::Millis) => Step::Int(column),
        Node::Long | Node::Time(_) => Step::Long(column),
        Node::Timestamp(unit) | Node::LocalTimestamp(unit) => Step::Timestamp(*unit, column),
        Node::Float => Step::Float(column),
        Node::Double => Step::Double(column),
        Node::Decimal(decimal) => Step::Decimal(decimal.clone(), column),
        Node::String => Step::Text(column),
        Node::UuidText => Step::UuidText(column),
        Node::Uuid(_) => Step::Uuid(column),
        Node::Enum { symbols, .. } => Step::Symbol(symbols.clone(), column),
        other => unreachable!("{} is no column: Schema::field refused it", other.kind()),
    }
}
