//! Moves loop-invariant parts out of the bodies of macros: a part that does not depend on the macro's item is evaluated
//! once for the outer rows and captured.

use super::node::Node;

impl Node {
    /// The tree with all invariant parts moved out. To be called once, on the root.
    pub(super) fn hoist_invariants(mut self) -> Self {
        hoist(&mut self, &[], &mut Vec::new());
        self
    }

    /// The level of the innermost macro whose item the node depends on; 0 if it depends on none.
    fn level(&self) -> usize {
        let below = self.children().into_iter().map(Self::level).max().unwrap_or(0);
        match self {
            Self::Item { level, .. } => *level,
            Self::Comprehension(comprehension) => below.max(comprehension.body.level_below(comprehension.level)),
            _ => below,
        }
    }

    /// The highest level below `limit` that the node depends on. The items of a macro inside it have a level from
    /// `limit` on and do not count.
    fn level_below(&self, limit: usize) -> usize {
        let own = match self {
            Self::Item { level, .. } if *level < limit => *level,
            Self::Comprehension(comprehension) => comprehension.body.level_below(limit),
            _ => 0,
        };
        self.children().into_iter().map(|child| child.level_below(limit)).max().unwrap_or(0).max(own)
    }
}

/// Hoists the parts of a node. `around` has the levels of the macros around it, the innermost last; moved nodes go to
/// `captured`.
fn hoist(node: &mut Node, around: &[usize], captured: &mut Vec<Node>) {
    if let Some((innermost, _)) = around.split_last()
        && !matches!(node, Node::Constant(_))
        && node.level() < *innermost
    {
        let index = captured.len();
        captured.push(std::mem::replace(node, Node::Captured(index)));
        return;
    }
    if let Node::Comprehension(comprehension) = node {
        hoist(&mut comprehension.list, around, captured);
        let inside: Vec<usize> = around.iter().copied().chain([comprehension.level]).collect();
        let mut own = Vec::new();
        hoist(&mut comprehension.body, &inside, &mut own);
        for outside in &mut own {
            hoist(outside, around, captured);
        }
        comprehension.captured = own;
        return;
    }
    for child in node.children_mut() {
        hoist(child, around, captured);
    }
}
