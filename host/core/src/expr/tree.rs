//! Helpers for CEL's syntax tree: the children of nodes, dotted paths, and the parts of macros.

use cel::common::ast::{CallExpr, Expr as Syntax, IdedExpr};

/// The nodes right below a node.
pub(super) fn children(node: &IdedExpr) -> Vec<&IdedExpr> {
    match &node.expr {
        Syntax::Call(call) => call.target.as_deref().into_iter().chain(&call.args).collect(),
        Syntax::Select(select) => vec![&select.operand],
        Syntax::List(list) => list.elements.iter().collect(),
        Syntax::Map(map) => map.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        Syntax::Struct(record) => record.entries.iter().flat_map(|entry| entry_parts(&entry.expr)).collect(),
        // The parser expands no macros, so there are no comprehensions.
        Syntax::Comprehension(_) | Syntax::Ident(_) | Syntax::Literal(_) | Syntax::Unspecified => Vec::new(),
    }
}

fn entry_parts(entry: &cel::common::ast::EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        cel::common::ast::EntryExpr::StructField(field) => vec![&field.value],
        cel::common::ast::EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// The dotted path of a node that consists of names alone; none for other nodes.
pub(super) fn path(node: &IdedExpr) -> Option<String> {
    match &node.expr {
        Syntax::Ident(name) => Some(name.clone()),
        Syntax::Select(select) if !select.test => Some(format!("{}.{}", path(&select.operand)?, select.field)),
        _ => None,
    }
}

/// The names of macros: calls whose second argument is a variable for the other arguments.
pub(super) const MACROS: [&str; 6] = ["all", "exists", "existsOne", "exists_one", "filter", "map"];

/// The list, the variable and the rest of a macro's call; none for another call.
pub(super) fn macro_parts(call: &CallExpr) -> Option<(&IdedExpr, &IdedExpr, &[IdedExpr])> {
    if !MACROS.contains(&call.func_name.as_str()) {
        return None;
    }
    match (call.target.as_deref(), call.args.as_slice()) {
        (Some(list), [variable, rest @ ..]) => Some((list, variable, rest)),
        (None, [list, variable, rest @ ..]) => Some((list, variable, rest)),
        _ => None,
    }
}

/// Collects the paths in a tree, each once, in the order of the source. Variables of macros are not paths.
pub(super) fn collect_paths(node: &IdedExpr, variables: &mut Vec<String>, found: &mut Vec<String>) {
    if let Some(path) = path(node) {
        let root = path.split('.').next().unwrap_or_default();
        if !variables.iter().any(|variable| variable == root) && !found.contains(&path) {
            found.push(path);
        }
        return;
    }
    if let Syntax::Call(call) = &node.expr
        && let Some((list, IdedExpr { expr: Syntax::Ident(variable), .. }, rest)) = macro_parts(call)
    {
        collect_paths(list, variables, found);
        variables.push(variable.clone());
        rest.iter().for_each(|node| collect_paths(node, variables, found));
        variables.pop();
        return;
    }
    for child in children(node) {
        collect_paths(child, variables, found);
    }
}
