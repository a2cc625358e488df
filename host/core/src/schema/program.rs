//! A projection of a schema, compiled to a flat list of steps that one record is read with.

use std::collections::HashMap;

use super::decimal::Decimal;
use super::fields::{column_type, join};
use super::node::{Node, Record, Unit};
use super::{Field, FieldError, Schema};
use crate::types::Type;

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
    /// The items of an array or a map; each is read by a program whose columns are the parts of an item.
    List(Box<Program>, usize),
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
    /// The projected fields, each once: those that its columns are numbered by.
    pub(super) fields: Vec<Field>,
    /// Per path that was asked for, which of the fields it is.
    pub(super) places: Vec<usize>,
    /// Keeps the records that contain themselves; none in a list's program, which is a part of another.
    _schema: Option<Schema>,
}

impl Program {
    pub(super) fn new(schema: &Schema, projection: &[&str]) -> Result<Self, FieldError> {
        let mut wanted = HashMap::new();
        let (mut fields, mut places) = (Vec::new(), Vec::new());
        for path in projection {
            let field = schema.field(path)?;
            let place = *wanted.entry((*path).to_owned()).or_insert(fields.len());
            if place == fields.len() {
                fields.push(field.clone());
            }
            places.push(place);
        }
        let mut compiler = Compiler { wanted, steps: Vec::new(), paths: Vec::new() };
        compiler.record(schema.record(), "");
        Ok(Self { steps: compiler.steps, paths: compiler.paths, fields, places, _schema: Some(schema.clone()) })
    }

    /// The fields in the order asked for.
    pub(super) fn projected(&self) -> impl Iterator<Item = &Field> {
        self.places.iter().map(|place| &self.fields[*place])
    }
}

impl Program {
    /// The program of one item of a list's type: an array's item, or a map's key and value.
    fn of_item(node: &Node) -> Self {
        let mut compiler = Compiler { wanted: HashMap::new(), steps: Vec::new(), paths: Vec::new() };
        let item = match (node, column_type(node)) {
            (Node::Array(item), Some(Type::List(ty))) => {
                match *ty {
                    Type::Record(parts) => {
                        let parts = parts.iter().enumerate();
                        compiler.wanted = parts.map(|(part, (path, _))| (path.clone(), part)).collect();
                    }
                    _ => compiler.wanted = HashMap::from([(String::new(), 0)]),
                }
                item
            }
            (Node::Map(value), _) => {
                compiler.push(Step::Text(0), String::new());
                compiler.wanted = HashMap::from([(String::new(), 1)]);
                value
            }
            _ => unreachable!("{} is no list", node.kind()),
        };
        compiler.node(item, String::new());
        let (steps, paths) = (compiler.steps, compiler.paths);
        Self { steps, paths, fields: Vec::new(), places: Vec::new(), _schema: None }
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
        // An item of a list has no name: its own path is empty.
        let is_under = |name: &str| path.is_empty() || name == path || name.starts_with(&below);
        let wanted = self.wanted.iter().filter(|(name, _)| is_under(name));
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
        Node::Array(_) | Node::Map(_) => Step::List(Box::new(Program::of_item(node)), column),
        other => unreachable!("{} is no column: Schema::field refused it", other.kind()),
    }
}
