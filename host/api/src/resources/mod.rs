//! Resources other than definitions and events: one file each.

mod dead_letters;
mod entities;
mod existence;
mod explain;
mod graph;
mod health;
mod history;
mod keys;
mod live;
mod plugins;
mod scores;
mod view_buckets;
mod view_values;

pub(crate) use dead_letters::*;
pub(crate) use entities::*;
pub(crate) use explain::*;
pub(crate) use graph::*;
pub(crate) use health::*;
pub(crate) use history::*;
pub(crate) use keys::*;
pub(crate) use live::*;
pub(crate) use plugins::*;
pub(crate) use scores::*;
pub(crate) use view_buckets::*;
pub(crate) use view_values::*;
