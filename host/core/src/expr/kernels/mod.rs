//! The kernels: functions from columns to a column, one file for each group of functions.
//!
//! A strict kernel may compute any value for a row with a missing argument: the caller marks that row as missing.

pub(super) mod arithmetic;
pub(super) mod compare;
pub(super) mod convert;
pub(super) mod items;
pub(super) mod list;
pub(super) mod logic;
pub(super) mod math;
pub(super) mod membership;
pub(super) mod strings;
pub(super) mod text;
pub(super) mod time;
