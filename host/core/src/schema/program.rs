//! Compiles a projection of a schema to a flat list of steps that reads one record.

use std::collections::HashMap;

use super::decimal::Decimal;
use super::fields::{column_type, join};
use super::node::{Node, RecordType, TimeUnit};
use super::{Field, FieldError, Schema};
use crate::types::Type;

/// A step: how the next bytes of a record are read.
#[derive(Debug)]
pub(super) enum Step {
    /// Checks a value that no column needs.
    Check(Node),
    /// Reads a boolean into the column with this index. The other steps likewise.
    Boolean(usize),
    Int(usize),
    Long(usize),
    Timestamp(TimeUnit, usize),
    Float(usize),
    Double(usize),
    Decimal(Decimal, usize),
    Text(usize),
    UuidText(usize),
    /// 16 bytes.
    Uuid(usize),
    Symbol(Vec<String>, usize),
    /// Reads an array or a map. The program reads one item; its columns are the parts of an item.
    List(Box<Program>, usize),
    /// Reads the branch of a union of null and another type. For null, appends nulls to `columns` and skips the next
    /// `steps` steps.
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
    /// Per step the path that it reads, for errors.
    pub(super) paths: Vec<String>,
    /// The projected fields, each once, in the order of the columns.
    pub(super) fields: Vec<Field>,
    /// Per path of the projection, the index of its field.
    pub(super) places: Vec<usize>,
    /// Keeps the recursive records alive; none in the program of a list's items, which is part of another program.
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
        compiler.compile_record(schema.record(), "");
        Ok(Self { steps: compiler.steps, paths: compiler.paths, fields, places, _schema: Some(schema.clone()) })
    }

    /// The fields in the order of the projection.
    pub(super) fn projected(&self) -> impl Iterator<Item = &Field> {
        self.places.iter().map(|place| &self.fields[*place])
    }
}

impl Program {
    /// The program for one item of an array, or for one key and value of a map.
    fn for_item(node: &Node) -> Self {
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
        compiler.compile_node(item, String::new());
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
    fn compile_record(&mut self, record: &RecordType, prefix: &str) {
        for member in &record.members {
            self.compile_node(&member.node, join(prefix, &member.name));
        }
    }

    fn compile_node(&mut self, node: &Node, path: String) {
        let columns = self.columns_under(&path);
        if columns.is_empty() {
            return self.push(Step::Check(node.clone()), path);
        }
        if let Some((null, inner)) = node.nullable() {
            let place = self.steps.len();
            self.push(Step::Nullable { null, steps: 0, columns }, path.clone());
            self.compile_node(inner, path);
            let body = self.steps.len() - place - 1;
            if let Step::Nullable { steps, .. } = &mut self.steps[place] {
                *steps = body;
            }
            return;
        }
        if let Node::Record(record) = node {
            return self.compile_record(record, &path);
        }
        let step = leaf_step(node, columns[0]);
        self.push(step, path);
    }

    /// The columns of this path and of paths below it, ascending.
    fn columns_under(&self, path: &str) -> Vec<usize> {
        let below = format!("{path}.");
        // The path of a list's item itself is empty.
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

fn leaf_step(node: &Node, column: usize) -> Step {
    match node {
        Node::Boolean => Step::Boolean(column),
        Node::Int | Node::Date | Node::Time(TimeUnit::Millis) => Step::Int(column),
        Node::Long | Node::Time(_) => Step::Long(column),
        Node::Timestamp(unit) | Node::LocalTimestamp(unit) => Step::Timestamp(*unit, column),
        Node::Float => Step::Float(column),
        Node::Double => Step::Double(column),
        Node::Decimal(decimal) => Step::Decimal(decimal.clone(), column),
        Node::String => Step::Text(column),
        Node::UuidText => Step::UuidText(column),
        Node::Uuid(_) => Step::Uuid(column),
        Node::Enum { symbols, .. } => Step::Symbol(symbols.clone(), column),
        Node::Array(_) | Node::Map(_) => Step::List(Box::new(Program::for_item(node)), column),
        other => unreachable!("{} is no column: Schema::field refused it", other.kind()),
    }
}
