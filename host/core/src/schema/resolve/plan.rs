//! Plans how each value of the writer is converted, without any record.

use std::collections::{HashMap, HashSet};

use super::super::node::{Node, RecordReference, RecordType, TimeUnit};

/// The deepest nesting that is compared. References to recursive records count as nesting.
const MAX_PLAN_DEPTH: usize = 1_000;

/// The conversion of one value.
#[derive(Debug)]
pub(super) enum Plan {
    /// Copies the bytes of a value of this type.
    Copy(Node),
    /// Copies the bytes, if they are a value of the reader's type.
    Checked(Node),
    /// A number, written as another type.
    Number(NumberType, NumberType),
    /// A timestamp of another unit.
    Timestamp(TimeUnit, TimeUnit),
    /// Per symbol of the writer, the reader's.
    Symbols(Vec<Option<usize>>),
    Array(Box<Plan>),
    Map(Box<Plan>),
    Record(Box<FieldPlans>),
    /// A recursive record: its index in the resolver's list, and the number of levels that it is nested deeper.
    RecordReference(usize, usize),
    /// A plan per branch of the writer's union; none if no value of the branch can be read.
    Branches(Vec<Option<Plan>>),
    /// Writes the value as this branch of the reader's union.
    Into(usize, Box<Plan>),
}

#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) enum NumberType {
    Int,
    Long,
    Float,
    Double,
}

/// The plans of a record's fields.
#[derive(Debug, Default)]
pub(super) struct FieldPlans {
    /// In the writer's order: the name, and the plan. A field that the reader does not have is skipped; its type is
    /// given instead.
    pub(super) written: Vec<(String, Result<Plan, Node>)>,
    /// In the reader's order.
    pub(super) read: Vec<FieldSource>,
}

/// The source of a field of the reader: a field of the writer by index, or the default.
#[derive(Debug)]
pub(super) enum FieldSource {
    Written(usize),
    Default(Vec<u8>),
}

/// A mismatch while it is passed up. The trail has the innermost name first.
#[derive(Clone, Debug)]
pub(super) struct Mismatch {
    pub(super) trail: Vec<String>,
    pub(super) why: String,
}

/// The full names of a recursive record of the writer and one of the reader.
type RecordPair = (String, String);

/// Compares types. Each pair of recursive records is first compared under the assumption that their bytes are the same.
/// If the assumption is wrong, the pair is compared again without it.
#[derive(Default)]
pub(super) struct Planner {
    pub(super) records: Vec<FieldPlans>,
    /// The index of each planned pair in `records`.
    planned: HashMap<RecordPair, usize>,
    /// Pairs that are assumed or known to have the same bytes, in the order of their comparison.
    same: Vec<RecordPair>,
    different: HashSet<RecordPair>,
    unfit: HashMap<RecordPair, Mismatch>,
    depth: usize,
}

impl Planner {
    pub(super) fn plan(&mut self, writer: &Node, reader: &Node) -> Result<Plan, Mismatch> {
        if self.depth == MAX_PLAN_DEPTH {
            return Err(Mismatch { trail: Vec::new(), why: "its types are nested too deep to compare".to_owned() });
        }
        self.depth += 1;
        let plan = self.plan_type(writer, reader);
        self.depth -= 1;
        plan
    }

    fn plan_type(&mut self, writer: &Node, reader: &Node) -> Result<Plan, Mismatch> {
        Ok(match (writer, reader) {
            (Node::Union(from), Node::Union(to)) if self.is_same_union(from, to) => Plan::Copy(writer.clone()),
            (Node::Union(branches), _) => {
                let plans: Vec<Option<Plan>> = branches.iter().map(|branch| self.plan(branch, reader).ok()).collect();
                match plans.iter().any(Option::is_some) {
                    true => Plan::Branches(plans),
                    false => return Err(mismatch(writer, reader)),
                }
            }
            (_, Node::Union(branches)) => self.find_branch(writer, branches).ok_or_else(|| mismatch(writer, reader))?,
            (Node::Array(from), Node::Array(to)) => match self.plan(from, to)? {
                Plan::Copy(_) => Plan::Copy(writer.clone()),
                item => Plan::Array(Box::new(item)),
            },
            (Node::Map(from), Node::Map(to)) => match self.plan(from, to)? {
                Plan::Copy(_) => Plan::Copy(writer.clone()),
                item => Plan::Map(Box::new(item)),
            },
            (Node::RecordReference(from), Node::RecordReference(to)) => self.plan_reference(from, to)?,
            (Node::RecordReference(from), Node::Record(to)) => from.walk(|from| self.plan_record(from, to, writer))?,
            (Node::Record(from), Node::RecordReference(to)) => to.walk(|to| self.plan_record(from, to, writer))?,
            (Node::Record(from), Node::Record(to)) => self.plan_record(from, to, writer)?,
            _ => super::scalar::plan_scalar(writer, reader)?,
        })
    }

    fn is_same_union(&mut self, from: &[Node], to: &[Node]) -> bool {
        from.len() <= to.len()
            && from
                .iter()
                .zip(to)
                .all(|(from, to)| from.tag() == to.tag() && matches!(self.plan(from, to), Ok(Plan::Copy(_))))
    }

    /// The branch that takes a value: one of the same type, else one with the same name without namespace or by an
    /// alias, else the first that can read it.
    fn find_branch(&mut self, writer: &Node, branches: &[Node]) -> Option<Plan> {
        let same = branches.iter().position(|branch| branch.tag() == writer.tag());
        let alike = branches.iter().position(|branch| is_alike(writer, branch));
        let candidates = same.into_iter().chain(alike).chain(0..branches.len());
        for index in candidates {
            if let Ok(plan) = self.plan(writer, &branches[index]) {
                return Some(Plan::Into(index, Box::new(plan)));
            }
        }
        None
    }

    fn plan_reference(&mut self, from: &RecordReference, to: &RecordReference) -> Result<Plan, Mismatch> {
        let pair = (from.name.clone(), to.name.clone());
        if let Some(mismatch) = self.unfit.get(&pair) {
            return Err(mismatch.clone());
        }
        if let Some(place) = self.planned.get(&pair) {
            return Ok(Plan::RecordReference(*place, from.levels));
        }
        let copy = || Plan::Copy(Node::RecordReference(from.clone()));
        if self.same.contains(&pair) {
            return Ok(copy());
        }
        let compare = |planner: &mut Self| from.walk(|from| to.walk(|to| planner.compare_records(from, to)));
        let (same, planned) = (self.same.len(), self.records.len());
        if !self.different.contains(&pair) {
            self.same.push(pair.clone());
            match compare(self) {
                Ok(None) => return Ok(copy()),
                Ok(Some(_)) => self.forget_assumptions(same, planned),
                Err(mismatch) => return Err(self.note_mismatch(pair, mismatch, same, planned)),
            }
            self.different.insert(pair.clone());
        }
        self.records.push(FieldPlans::default());
        self.planned.insert(pair.clone(), planned);
        match compare(self) {
            Ok(fields) => self.records[planned] = fields.unwrap_or_default(),
            Err(mismatch) => return Err(self.note_mismatch(pair, mismatch, same, planned)),
        }
        Ok(Plan::RecordReference(planned, from.levels))
    }

    /// Drops the results that were found under a wrong assumption.
    fn forget_assumptions(&mut self, same: usize, planned: usize) {
        self.same.truncate(same);
        self.records.truncate(planned);
        self.planned.retain(|_, place| *place < planned);
    }

    fn note_mismatch(&mut self, pair: RecordPair, mismatch: Mismatch, same: usize, planned: usize) -> Mismatch {
        self.forget_assumptions(same, planned);
        self.unfit.insert(pair, mismatch.clone());
        mismatch
    }

    fn plan_record(&mut self, from: &RecordType, to: &RecordType, writer: &Node) -> Result<Plan, Mismatch> {
        Ok(match self.compare_records(from, to)? {
            Some(fields) => Plan::Record(Box::new(fields)),
            None => Plan::Copy(writer.clone()),
        })
    }

    /// The plans of the fields; none if the bytes are the same.
    fn compare_records(&mut self, from: &RecordType, to: &RecordType) -> Result<Option<FieldPlans>, Mismatch> {
        let mut places = vec![None; from.members.len()];
        let mut read = Vec::new();
        for (index, member) in to.members.iter().enumerate() {
            let source = from.position(&member.name, index).or_else(|| {
                let by_alias = member.aliases.iter().filter_map(|alias| from.position(alias, index));
                by_alias.into_iter().find(|place| to.position(&from.members[*place].name, index).is_none())
            });
            read.push(match (source.filter(|place| places[*place].is_none()), &member.default) {
                (Some(place), _) => {
                    places[place] = Some(index);
                    FieldSource::Written(place)
                }
                (None, Some(default)) => FieldSource::Default(default.clone()),
                (None, None) => {
                    let why = "it is not written, and has no default".to_owned();
                    return Err(Mismatch { trail: vec![member.name.clone()], why });
                }
            });
        }
        let mut written = Vec::new();
        for (member, place) in from.members.iter().zip(places) {
            let plan = match place {
                Some(place) => Ok(self.plan(&member.node, &to.members[place].node).map_err(|mut error| {
                    error.trail.push(to.members[place].name.clone());
                    error
                })?),
                None => Err(member.node.clone()),
            };
            written.push((member.name.clone(), plan));
        }
        let is_copy = read.len() == written.len()
            && read
                .iter()
                .enumerate()
                .all(|(index, source)| matches!(source, FieldSource::Written(at) if *at == index))
            && written.iter().all(|(_, plan)| matches!(plan, Ok(Plan::Copy(_))));
        Ok(if is_copy { None } else { Some(FieldPlans { written, read }) })
    }
}

/// True if two named types have the same name without namespace, or by an alias of the reader's.
fn is_alike(writer: &Node, reader: &Node) -> bool {
    let is_named = |node: &Node| {
        matches!(node, Node::Record(_) | Node::RecordReference(_) | Node::Enum { .. } | Node::Fixed { .. })
    };
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let name = last(writer.tag());
    let has_alias = |record: &RecordType| record.aliases.iter().any(|alias| last(alias) == name);
    is_named(writer)
        && is_named(reader)
        && (last(reader.tag()) == name
            || match reader {
                Node::Record(record) => has_alias(record),
                Node::RecordReference(again) => again.walk(has_alias),
                _ => false,
            })
}

pub(super) fn mismatch(writer: &Node, reader: &Node) -> Mismatch {
    let why = format!("it is written as {} and read as {}", writer.kind(), reader.kind());
    Mismatch { trail: Vec::new(), why }
}
