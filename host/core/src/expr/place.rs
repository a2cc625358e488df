//! Decides where each part of a macro's body is evaluated: what does not depend on the item belongs to the rows
//! outside, is evaluated there once, and is captured.

use super::node::Node;

impl Node {
    /// The tree with everything in its place. To be called once, on the whole.
    pub(super) fn placed(mut self) -> Self {
        place(&mut self, &[], &mut Vec::new());
        self
    }

    /// The level of the innermost macro around it whose item it depends on; 0 if it depends on none.
    fn level(&self) -> usize {
        let below = self.children().into_iter().map(Self::level).max().unwrap_or(0);
        match self {
            Self::Item { level, .. } => *level,
            Self::Each(each) => below.max(each.body.level_below(each.level)),
            _ => below,
        }
    }

    /// The highest level that it depends on below a level: its own items do not count for a macro.
    fn level_below(&self, limit: usize) -> usize {
        let own = match self {
            Self::Item { level, .. } if *level < limit => *level,
            Self::Each(each) => each.body.level_below(limit),
            _ => 0,
        };
        self.children().into_iter().map(|child| child.level_below(limit)).max().unwrap_or(0).max(own)
    }
}

/// Places a node that stands in the bodies of macros of some levels, the innermost last.
fn place(node: &mut Node, around: &[usize], captured: &mut Vec<Node>) {
    if let Some((innermost, _)) = around.split_last()
        && !matches!(node, Node::Constant(_))
        && node.level() < *innermost
    {
        let index = captured.len();
        captured.push(std::mem::replace(node, Node::Captured(index)));
        return;
    }
    if let Node::Each(each) = node {
        place(&mut each.list, around, captured);
        let inside: Vec<usize> = around.iter().copied().chain([each.level]).collect();
        let mut own = Vec::new();
        place(&mut each.body, &inside, &mut own);
        for outside in &mut own {
            place(outside, around, captured);
        }
        each.captured = own;
        return;
    }
    for child in node.children_mut() {
        place(child, around, captured);
    }
}
