//! placeholder
use anyhow::Result;
#[derive(clap::Args)]
pub(crate) struct Args { #[arg(long)] exit: bool }
pub(crate) fn run(_: &Args) -> Result<()> { Ok(()) }
