//! What has to be done with each value of the writer, decided before any record comes.

use std::collections::{HashMap, HashSet};

use super::super::node::{Again, Node, Record, Unit};

/// The deepest nesting that is compared, through records that contain themselves too.
const MAX_DEPTH: usize = 1_000;

/// What is done with one value.
#[derive(Debug)]
pub(super) enum Plan {
    /// The same bytes, a value of this type.
    Copy(Node),
    /// The same bytes, if they are a value of the reader's type.
    Checked(Node),
    /// A number, written as another type.
    Number(Number, Number),
    /// A timestamp of another unit.
    Timestamp(Unit, Unit),
    /// Per symbol of the writer, the reader's.
    Symbols(Vec<Option<usize>>),
    Array(Box<Plan>),
    Map(Box<Plan>),
    Record(Box<Fields>),
    /// A record that contains itself, in the resolver's list, so many levels further in.
    Again(usize, usize),
    /// Per branch of the writer's union; none: no value of this branch can be read.
    Branches(Vec<Option<Plan>>),
    /// Into this branch of the reader's union.
    Into(usize, Box<Plan>),
}

#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub(super) enum Number {
    Int,
    Long,
    Float,
    Double,
}

/// The fields of a record.
#[derive(Debug, Default)]
pub(super) struct Fields {
    /// In the writer's order; a field without a plan is passed over.
    pub(super) written: Vec<(String, Result<Plan, Node>)>,
    /// In the reader's order.
    pub(super) read: Vec<Source>,
}

/// Where a field of the reader comes from.
#[derive(Debug)]
pub(super) enum Source {
    Written(usize),
    Default(Vec<u8>),
}

/// A mismatch on its way up; the trail has the innermost name first.
#[derive(Clone, Debug)]
pub(super) struct Mismatch {
    pub(super) trail: Vec<String>,
    pub(super) why: String,
}

/// The full names of a writer's record and a reader's, both such as contain themselves.
type Pair = (String, String);

/// Compares types. Records that contain themselves are compared once a pair: first as if they were the same bytes, and
/// where they turn out not to be, again.
#[derive(Default)]
pub(super) struct Planner {
    pub(super) records: Vec<Fields>,
    /// Pairs that are in `records`.
    planned: HashMap<Pair, usize>,
    /// Pairs that are the same bytes if all that contains them is, in the order in which they were met.
    same: Vec<Pair>,
    different: HashSet<Pair>,
    unfit: HashMap<Pair, Mismatch>,
    depth: usize,
}

impl Planner {
    pub(super) fn plan(&mut self, writer: &Node, reader: &Node) -> Result<Plan, Mismatch> {
        if self.depth == MAX_DEPTH {
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
            (_, Node::Union(branches)) => self.branch_for(writer, branches).ok_or_else(|| mismatch(writer, reader))?,
            (Node::Array(from), Node::Array(to)) => match self.plan(from, to)? {
                Plan::Copy(_) => Plan::Copy(writer.clone()),
                item => Plan::Array(Box::new(item)),
            },
            (Node::Map(from), Node::Map(to)) => match self.plan(from, to)? {
                Plan::Copy(_) => Plan::Copy(writer.clone()),
                item => Plan::Map(Box::new(item)),
            },
            (Node::Again(from), Node::Again(to)) => self.again(from, to)?,
            (Node::Again(from), Node::Record(to)) => from.walk(|from| self.record_plan(from, to, writer))?,
            (Node::Record(from), Node::Again(to)) => to.walk(|to| self.record_plan(from, to, writer))?,
            (Node::Record(from), Node::Record(to)) => self.record_plan(from, to, writer)?,
            _ => super::scalar::plan(writer, reader)?,
        })
    }

    fn is_same_union(&mut self, from: &[Node], to: &[Node]) -> bool {
        from.len() <= to.len()
            && from
                .iter()
                .zip(to)
                .all(|(from, to)| from.tag() == to.tag() && matches!(self.plan(from, to), Ok(Plan::Copy(_))))
    }

    /// The branch that takes a value: of the same type if there is one, then of the same name without namespace or by
    /// an alias, else the first that can.
    fn branch_for(&mut self, writer: &Node, branches: &[Node]) -> Option<Plan> {
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

    fn again(&mut self, from: &Again, to: &Again) -> Result<Plan, Mismatch> {
        let pair = (from.name.clone(), to.name.clone());
        if let Some(mismatch) = self.unfit.get(&pair) {
            return Err(mismatch.clone());
        }
        if let Some(place) = self.planned.get(&pair) {
            return Ok(Plan::Again(*place, from.levels));
        }
        let copy = || Plan::Copy(Node::Again(from.clone()));
        if self.same.contains(&pair) {
            return Ok(copy());
        }
        let compare = |planner: &mut Self| from.walk(|from| to.walk(|to| planner.record(from, to)));
        let (same, planned) = (self.same.len(), self.records.len());
        if !self.different.contains(&pair) {
            self.same.push(pair.clone());
            match compare(self) {
                Ok(None) => return Ok(copy()),
                Ok(Some(_)) => self.forget(same, planned),
                Err(mismatch) => return Err(self.refuse(pair, mismatch, same, planned)),
            }
            self.different.insert(pair.clone());
        }
        self.records.push(Fields::default());
        self.planned.insert(pair.clone(), planned);
        match compare(self) {
            Ok(fields) => self.records[planned] = fields.unwrap_or_default(),
            Err(mismatch) => return Err(self.refuse(pair, mismatch, same, planned)),
        }
        Ok(Plan::Again(planned, from.levels))
    }

    /// Drops what was found out under an assumption that is wrong.
    fn forget(&mut self, same: usize, planned: usize) {
        self.same.truncate(same);
        self.records.truncate(planned);
        self.planned.retain(|_, place| *place < planned);
    }

    fn refuse(&mut self, pair: Pair, mismatch: Mismatch, same: usize, planned: usize) -> Mismatch {
        self.forget(same, planned);
        self.unfit.insert(pair, mismatch.clone());
        mismatch
    }

    fn record_plan(&mut self, from: &Record, to: &Record, writer: &Node) -> Result<Plan, Mismatch> {
        Ok(match self.record(from, to)? {
            Some(fields) => Plan::Record(Box::new(fields)),
            None => Plan::Copy(writer.clone()),
        })
    }

    /// None: the same bytes.
    fn record(&mut self, from: &Record, to: &Record) -> Result<Option<Fields>, Mismatch> {
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
                    Source::Written(place)
                }
                (None, Some(default)) => Source::Default(default.clone()),
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
            && read.iter().enumerate().all(|(index, source)| matches!(source, Source::Written(at) if *at == index))
            && written.iter().all(|(_, plan)| matches!(plan, Ok(Plan::Copy(_))));
        Ok(if is_copy { None } else { Some(Fields { written, read }) })
    }
}

/// Whether two named types go by the same name, but for their namespaces or by an alias of the reader's.
fn is_alike(writer: &Node, reader: &Node) -> bool {
    let is_named =
        |node: &Node| matches!(node, Node::Record(_) | Node::Again(_) | Node::Enum { .. } | Node::Fixed { .. });
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let name = last(writer.tag());
    let has_alias = |record: &Record| record.aliases.iter().any(|alias| last(alias) == name);
    is_named(writer)
        && is_named(reader)
        && (last(reader.tag()) == name
            || match reader {
                Node::Record(record) => has_alias(record),
                Node::Again(again) => again.walk(has_alias),
                _ => false,
            })
}

pub(super) fn mismatch(writer: &Node, reader: &Node) -> Mismatch {
    let why = format!("it is written as {} and read as {}", writer.kind(), reader.kind());
    Mismatch { trail: Vec::new(), why }
}
