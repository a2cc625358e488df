//! The report of a failed command: text, or a JSON object in the last line of stderr for programs.

use std::ffi::OsString;
use std::process::ExitCode;

use serde_json::{Value, json};

use crate::client::RequestError;
use crate::commands::Output;

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

/// Reports a wrong command line and returns exit code 2, or prints the requested help and returns 0.
pub fn report_usage(error: &clap::Error, arguments: impl Iterator<Item = OsString>) -> ExitCode {
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

/// An error with its code, and with status and problem details if the server answered.
fn as_json(error: &anyhow::Error) -> Value {
    let request = error.chain().find_map(|cause| cause.downcast_ref::<RequestError>());
    let code = request.map_or("failed", RequestError::code);
    let mut value = json!({ "code": code, "message": format!("{error:#}") });
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
