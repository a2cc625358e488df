//! Reports of failed commands, and warnings: text, or one JSON object per line of stderr for programs.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue};
use serde_json::{Value, json};

use crate::args::Args;
use crate::client::RequestError;
use crate::commands::Output;
use crate::commands::sent::RefusedEvents;

/// The exit code of a wrong command line.
const WRONG_USAGE: u8 = 2;

/// Reports the error of a command. Returns exit code 1.
pub fn report_error(error: &anyhow::Error, output: Output) -> ExitCode {
    match output {
        Output::Text => eprintln!("error: {error:#}"),
        Output::Json => eprintln!("{}", as_json(error)),
    }
    ExitCode::FAILURE
}

/// Reports something that does not end the command.
pub(crate) fn report_warning(code: &str, message: &str, output: Output) {
    match output {
        Output::Text => eprintln!("{message}"),
        Output::Json => eprintln!("{}", json!({ "warning": { "code": code, "message": message } })),
    }
}

/// Reports that a request is sent again after a delay.
pub(crate) fn report_retry(error: &RequestError, delay: Duration, output: Output) {
    report_warning(error.code(), &format!("{error}; trying again in {} ms", delay.as_millis()), output);
}

/// The format that the command line of this process asks for, for code that does not know it.
pub(crate) fn requested_output() -> Output {
    if asks_for_json(std::env::args_os()) { Output::Json } else { Output::Text }
}

/// Reports a wrong command line and returns exit code 2, or prints the requested help and returns 0.
pub fn report_usage(mut error: clap::Error, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    leave_out_hidden_commands(&mut error);
    if !error.use_stderr() {
        // The reader may have closed the pipe.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if asks_for_json(arguments) {
        let message = error.render().to_string();
        let message = message.strip_prefix("error: ").unwrap_or(&message).trim();
        eprintln!("{}", json!({ "error": { "code": "usage", "message": message } }));
    } else {
        // Nothing can be reported if stderr is closed.
        let _ = error.print();
    }
    ExitCode::from(WRONG_USAGE)
}

/// Takes commands that no help shows out of the list of an error about a missing command.
fn leave_out_hidden_commands(error: &mut clap::Error) {
    let Some(ContextValue::Strings(names)) = error.get(ContextKind::ValidSubcommand) else { return };
    let tree = Args::command();
    let is_hidden = |name: &String| tree.find_subcommand(name).is_some_and(clap::Command::is_hide_set);
    let shown = names.iter().filter(|name| !is_hidden(name)).cloned().collect();
    error.insert(ContextKind::ValidSubcommand, ContextValue::Strings(shown));
}

/// An error with its code, and with status and problem details if the server answered.
fn as_json(error: &anyhow::Error) -> Value {
    let request = error.chain().find_map(|cause| cause.downcast_ref::<RequestError>());
    let refused = error.chain().find_map(|cause| cause.downcast_ref::<RefusedEvents>());
    let code = match (request, refused) {
        (Some(request), _) => request.code(),
        (None, Some(_)) => "events-refused",
        (None, None) => "failed",
    };
    let mut value = json!({ "code": code, "message": format!("{error:#}") });
    if let (Some(members), Some(refused)) = (value.as_object_mut(), refused) {
        members.append(&mut refused.details());
    }
    if let Some(RequestError::Refused { status, problem, .. }) = request {
        value["status"] = json!(status);
        value["problem"] = problem.clone();
    }
    json!({ "error": value })
}

/// True if a command line that cannot be parsed asks for JSON.
fn asks_for_json(arguments: impl Iterator<Item = OsString>) -> bool {
    let words: Vec<OsString> = arguments.collect();
    let is_json = |index: usize| words.get(index + 1).is_some_and(|next| next == "json");
    words.iter().enumerate().any(|(index, word)| word == "--output=json" || (word == "--output" && is_json(index)))
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_error_has_its_code_and_the_servers_problem() {
        let problem = json!({"type": "urn:assay:not-found", "detail": "there is no rule 'x'"});
        let refused = RequestError::Refused { status: 404, message: "gone".into(), problem: problem.clone() };
        let error = Err::<(), _>(refused).context("cannot show it").unwrap_err();
        let expected = json!({"error": {"code": "not-found", "message": "cannot show it: gone", "status": 404, "problem": problem}});
        assert_eq!(as_json(&error), expected);
        let error = as_json(&anyhow::anyhow!("no API key"));
        assert_eq!(error, json!({"error": {"code": "failed", "message": "no API key"}}));
    }

    #[test]
    fn json_is_asked_for_in_two_ways() {
        let asks = |words: &[&str]| asks_for_json(words.iter().map(OsString::from));
        assert!(asks(&["assay", "--output", "json", "nope"]) && asks(&["assay", "nope", "--output=json"]));
        assert!(!asks(&["assay", "json", "--output"]) && !asks(&["assay", "--output", "text"]));
    }
}
