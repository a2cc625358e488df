//! Values of a writer that its reader has no place for, told before any comes.

use super::plan::{Fields, Plan};
use super::{Incompatible, Resolver};

impl Resolver {
    /// The first place where some records of the writer cannot be read: a branch of a union, or a symbol of an enum.
    pub fn gap(&self) -> Option<Incompatible> {
        let gap = in_plan(&self.plan).or_else(|| self.records.iter().find_map(in_fields));
        gap.map(|(mut trail, why)| {
            trail.reverse();
            Incompatible { path: trail.join("."), why }
        })
    }
}

/// The names from the innermost one, and what is missing.
type Gap = (Vec<String>, String);

fn in_plan(plan: &Plan) -> Option<Gap> {
    match plan {
        Plan::Array(inner) | Plan::Map(inner) | Plan::Into(_, inner) => in_plan(inner),
        Plan::Record(fields) => in_fields(fields),
        Plan::Branches(plans) => match plans.iter().position(Option::is_none) {
            Some(branch) => Some((Vec::new(), format!("branch {branch} of the union cannot be read"))),
            None => plans.iter().flatten().find_map(in_plan),
        },
        Plan::Symbols(symbols) => {
            let symbol = symbols.iter().position(Option::is_none)?;
            Some((Vec::new(), format!("symbol {symbol} of the enum is gone, and there is no default")))
        }
        // Records that contain themselves are looked at once, in the resolver's list.
        Plan::Copy(_) | Plan::Checked(_) | Plan::Number(..) | Plan::Timestamp(..) | Plan::Again(..) => None,
    }
}

fn in_fields(fields: &Fields) -> Option<Gap> {
    fields.written.iter().find_map(|(name, plan)| {
        let (mut trail, why) = in_plan(plan.as_ref().ok()?)?;
        trail.push(name.clone());
        Some((trail, why))
    })
}
