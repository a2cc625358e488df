//! Puts rules in an order in which each comes after those whose scores it uses, or names the circle.

use std::collections::BTreeMap;

/// The names in order; those that depend on nothing first, equal ones by name.
///
/// # Errors
/// The names of a circle, its first repeated at the end.
pub(super) fn sort_by_dependency<'a>(uses: &BTreeMap<&'a str, Vec<&'a str>>) -> Result<Vec<&'a str>, Vec<&'a str>> {
    let mut done = Vec::with_capacity(uses.len());
    let mut path = Vec::new();
    for name in uses.keys() {
        visit(name, uses, &mut path, &mut done)?;
    }
    Ok(done)
}

fn visit<'a>(
    name: &'a str,
    uses: &BTreeMap<&'a str, Vec<&'a str>>,
    path: &mut Vec<&'a str>,
    done: &mut Vec<&'a str>,
) -> Result<(), Vec<&'a str>> {
    if done.contains(&name) {
        return Ok(());
    }
    if let Some(start) = path.iter().position(|before| *before == name) {
        let mut circle = path[start..].to_vec();
        circle.push(name);
        return Err(circle);
    }
    path.push(name);
    for used in uses.get(name).into_iter().flatten() {
        // A name that is not a rule of this stream was refused where it was used.
        if uses.contains_key(used) {
            visit(used, uses, path, done)?;
        }
    }
    path.pop();
    done.push(name);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered(edges: &[(&'static str, &[&'static str])]) -> Result<Vec<&'static str>, Vec<&'static str>> {
        sort_by_dependency(&edges.iter().map(|(name, uses)| (*name, uses.to_vec())).collect())
    }

    #[test]
    fn what_is_used_comes_first() {
        assert_eq!(ordered(&[("a", &["c"]), ("b", &[]), ("c", &["b"])]), Ok(vec!["b", "c", "a"]));
    }

    #[test]
    fn a_circle_is_named() {
        assert_eq!(ordered(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]), Err(vec!["b", "c", "b"]));
        assert_eq!(ordered(&[("a", &["a"])]), Err(vec!["a", "a"]));
    }
}
