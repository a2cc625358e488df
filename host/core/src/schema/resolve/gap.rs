//! Finds values of a writer that its reader cannot represent, without any record.

use super::plan::{FieldPlans, Plan};
use super::{Incompatible, Resolver};

impl Resolver {
    /// The first place where a record of the writer may be unreadable: a branch of a union, or a symbol of an enum.
    pub fn find_unreadable_value(&self) -> Option<Incompatible> {
        let gap = find_in_plan(&self.plan).or_else(|| self.records.iter().find_map(find_in_fields));
        gap.map(|(mut trail, why)| {
            trail.reverse();
            Incompatible { path: trail.join("."), why }
        })
    }
}

/// The path, innermost name first, and the reason.
type UnreadableValue = (Vec<String>, String);

fn find_in_plan(plan: &Plan) -> Option<UnreadableValue> {
    match plan {
        Plan::Array(inner) | Plan::Map(inner) | Plan::Into(_, inner) => find_in_plan(inner),
        Plan::Record(fields) => find_in_fields(fields),
        Plan::Branches(plans) => match plans.iter().position(Option::is_none) {
            Some(branch) => Some((Vec::new(), format!("branch {branch} of the union cannot be read"))),
            None => plans.iter().flatten().find_map(find_in_plan),
        },
        Plan::Symbols(symbols) => {
            let symbol = symbols.iter().position(Option::is_none)?;
            Some((Vec::new(), format!("symbol {symbol} of the enum is gone, and there is no default")))
        }
        // Recursive records are checked once, in the resolver's list.
        Plan::Copy(_) | Plan::Checked(_) | Plan::Number(..) | Plan::Timestamp(..) | Plan::RecordReference(..) => None,
    }
}

fn find_in_fields(fields: &FieldPlans) -> Option<UnreadableValue> {
    fields.written.iter().find_map(|(name, plan)| {
        let (mut trail, why) = find_in_plan(plan.as_ref().ok()?)?;
        trail.push(name.clone());
        Some((trail, why))
    })
}
