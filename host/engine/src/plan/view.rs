//! Compiles one view.

use assay_core::expr::{Expr, ExprError};
use assay_core::stream::StreamDef;
use assay_core::types::Type;
use assay_core::view::{Layout, ViewDef};

use super::ViewPlan;
use super::compile::{Defined, Problems};
use super::scope::{NameVisibility, Slots};
use crate::ports::catalog::Kind;

pub(super) fn compile(
    defined: &Defined<'_, ViewDef>,
    stream: &StreamDef,
    slots: &Slots<'_>,
    problems: &mut Problems,
) -> Option<ViewPlan> {
    let def = defined.def;
    let before = problems.0.len();
    if def.by != [stream.key.clone()] {
        let message = format!(
            "expected [{key}], the key of stream '{name}': views by other fields are not supported yet",
            key = stream.key,
            name = stream.stream
        );
        problems.add(Kind::View, &def.view, "by", message);
    }
    let scope = slots.scope(NameVisibility::Event);
    let when = match &def.when {
        Some(source) => problems.ok_or_add(Kind::View, &def.view, "when", compile_filter(source, &scope)),
        None => None,
    };
    let mut arguments = Vec::new();
    let mut types = Vec::new();
    for (name, measure) in &def.measures.0 {
        let at = format!("measures.{name}");
        let argument = match &measure.argument {
            Some(source) => Some(problems.ok_or_add(Kind::View, &def.view, &at, Expr::compile(source, &scope))?),
            None => None,
        };
        types.push(argument.as_ref().map(|argument: &Expr| argument.ty().clone()));
        arguments.push(argument);
    }
    let layout = problems.ok_or_add(Kind::View, &def.view, "", Layout::compile(def, &types, stream.lateness))?;
    if problems.0.len() > before {
        return None;
    }
    let names = def.measures.0.iter().map(|(name, _)| name.clone());
    let measures: Vec<(String, Type)> = names.zip(layout.result_types().cloned()).collect();
    let mut first_slot = None;
    for (name, ty) in &measures {
        let slot = slots.declare(format!("views.{}.{name}", def.view), ty.clone());
        first_slot.get_or_insert(slot);
    }
    // A changed view starts anew, and so does one that was deleted and made again: both have another revision.
    let identity = format!("{}@{}#{:016x}", def.view, defined.revision, layout.fingerprint());
    let fingerprint = xxhash_rust::xxh3::xxh3_64(identity.as_bytes());
    Some(ViewPlan {
        def: def.clone(),
        revision: defined.revision,
        layout,
        measures,
        when,
        arguments,
        first_slot: first_slot?,
        fingerprint,
    })
}

/// Compiles an expression that must be of type bool.
pub(super) fn compile_filter(source: &str, scope: &dyn assay_core::expr::Scope) -> Result<Expr, ExprError> {
    Expr::compile_as(source, scope, &Type::Bool)
}
