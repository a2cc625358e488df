//! The tree of commands: what there is, and what a command line gives of it.

use std::collections::BTreeSet;

use assay::args::Args;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory as _};

/// All commands with their paths, such as `rule list`; the root's is empty.
pub(crate) fn all() -> Vec<(String, Command)> {
    fn walk(command: &Command, path: &str, found: &mut Vec<(String, Command)>) {
        found.push((path.to_owned(), command.clone()));
        for subcommand in command.get_subcommands() {
            walk(subcommand, format!("{path} {}", subcommand.get_name()).trim_start(), found);
        }
    }
    let mut found = Vec::new();
    walk(&Args::command(), "", &mut found);
    found
}

/// The commands that do something by themselves.
pub(crate) fn leaves() -> Vec<(String, Command)> {
    all().into_iter().filter(|(_, command)| command.get_subcommands().next().is_none()).collect()
}

/// Every argument, as the path of its command and its id. Global ones are the root's.
pub(crate) fn arguments() -> BTreeSet<(String, String)> {
    let of = |(path, command): (String, Command)| {
        let ids: Vec<String> = command.get_arguments().map(|argument| argument.get_id().to_string()).collect();
        ids.into_iter().map(move |id| (path.clone(), id))
    };
    all().into_iter().flat_map(of).collect()
}

/// One argument.
pub(crate) fn argument(path: &str, id: &str) -> Arg {
    let (_, command) = all().into_iter().find(|(other, _)| other == path).unwrap();
    let found = command.get_arguments().find(|argument| argument.get_id() == id).cloned();
    found.unwrap()
}

/// Parses a command line without the program's name, or with it.
pub(crate) fn parse(line: &str) -> Result<ArgMatches, clap::Error> {
    let words = line.split_whitespace().skip_while(|word| *word == "assay");
    Args::command().try_get_matches_from(std::iter::once("assay").chain(words))
}

/// The path of a line's command.
pub(crate) fn command_of(line: &str) -> String {
    let matches = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let (mut path, mut at) = (Vec::new(), &matches);
    while let Some((name, below)) = at.subcommand() {
        path.push(name.to_owned());
        at = below;
    }
    path.join(" ")
}

/// The arguments that a line gives.
pub(crate) fn given(line: &str) -> BTreeSet<(String, String)> {
    let matches = parse(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    let (mut path, mut at, mut found) = (String::new(), &matches, BTreeSet::new());
    loop {
        for id in at.ids() {
            if at.value_source(id.as_str()) == Some(ValueSource::CommandLine) {
                let is_global = id.as_str().starts_with("global-");
                found.insert((if is_global { String::new() } else { path.clone() }, id.to_string()));
            }
        }
        let Some((name, below)) = at.subcommand() else { return found };
        path = format!("{path} {name}").trim_start().to_owned();
        at = below;
    }
}

/// A line's words, with another value for one of its arguments.
pub(crate) fn with_value(line: &str, path: &str, id: &str, value: &str) -> Vec<String> {
    let matches = parse(line).unwrap();
    let mut at = &matches;
    for name in path.split_whitespace() {
        at = at.subcommand_matches(name).unwrap();
    }
    let own = at.get_raw(id).unwrap().next().unwrap().to_string_lossy().into_owned();
    let mut words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let option = argument(path, id).get_long().map(|long| format!("--{long}"));
    // A value may stand in the line more than once: that of an option follows its name.
    let position = match option {
        Some(option) => words.iter().position(|word| *word == option).unwrap() + 1,
        None => words.iter().rposition(|word| *word == own).unwrap(),
    };
    value.clone_into(&mut words[position]);
    words
}

/// The command lines of a help's examples, without what comes before and behind them.
pub(crate) fn examples(help: &str) -> Vec<String> {
    let lines = help.lines().skip(1).take_while(|line| line.starts_with("  "));
    let commands = lines.map(|line| {
        let line = line.trim_start();
        // Two spaces begin a remark, or a pipe or a redirection the shell's part.
        let end = ["  ", " | ", " > "].iter().filter_map(|mark| line.find(mark)).filter(|at| !line[..*at].is_empty());
        let begin = line.find("assay ");
        let end = end.filter(|at| begin.is_none_or(|begin| *at > begin)).min().unwrap_or(line.len());
        begin.filter(|begin| *begin < end).map(|begin| line[begin..end].trim().to_owned())
    });
    commands.flatten().collect()
}

#[test]
fn examples_are_cut_out_of_their_lines() {
    let help = "Examples:\n  assay a b      what it does\n  cat x | assay ingest s -\n  X=1 assay a > f\n  export A=b\n\nassay rest";
    assert_eq!(examples(help), ["assay a b", "assay ingest s -", "assay a"]);
}
