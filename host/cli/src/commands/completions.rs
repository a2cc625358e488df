//! `assay completions`: scripts that let shells complete commands and options.

use clap::Command;

use super::print_text;

/// Print completions for a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay completions bash > /etc/bash_completion.d/assay
  assay completions zsh > ~/.zfunc/_assay")]
pub struct Args {
    /// The shell.
    shell: clap_complete::Shell,
}

/// Prints the script.
pub fn run(args: &Args, mut command: Command) {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "assay", &mut script);
    print_text(&String::from_utf8_lossy(&script));
}
