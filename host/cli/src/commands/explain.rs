//! `assay explain`: the meaning of a code, and the remedy.

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::{Output, print, table};
use crate::codes::{Code, CodeSource, all_codes, find, nearest};

/// Explain a code of a dead letter or of an error.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay explain plugin-trap
  assay explain urn:assay:revision-mismatch
  assay explain                             all codes")]
pub struct Args {
    /// The code.
    code: Option<String>,
}

/// Prints the explanation of a code, or all codes.
///
/// # Errors
/// There is no such code.
pub fn run(args: &Args, output: Output) -> Result<()> {
    match &args.code {
        None => {
            let all = Value::Array(all_codes().map(as_json).collect());
            print(output, &all, |_| {
                let row = |code: Code| vec![code.code.to_owned(), place(code), code.cause.to_owned()];
                table(&all_codes().map(row).collect::<Vec<_>>())
            });
        }
        Some(given) => match find(given) {
            Some(code) => print(output, &as_json(code), |_| {
                format!("{} ({})\n\n{}\n\nWhat to do: {}\n", code.code, place(code), code.cause, code.advice)
            }),
            None => {
                let hint = nearest(given).map_or_else(String::new, |code| format!("; did you mean '{code}'?"));
                bail!("there is no code '{given}'{hint} (assay explain lists all)");
            }
        },
    }
    Ok(())
}

fn place(code: Code) -> String {
    match code.source {
        CodeSource::DeadLetter => "dead letter".to_owned(),
        CodeSource::Problem(status) => format!("HTTP {status}"),
    }
}

fn as_json(code: Code) -> Value {
    json!({ "code": code.code, "of": place(code), "cause": code.cause, "advice": code.advice })
}
