//! `assay ingest`: events of a file into a stream; the next batch is read while one is under way.

mod avro;

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Output, print};
use crate::client::Client;
use crate::send::{Sender, Summary};

/// Send the events of a file to a stream.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay ingest payments payments.jsonl
  zcat payments.jsonl.gz | assay ingest payments -
  assay ingest payments payments.jsonl --errors refused.txt
  assay ingest payments payments.avro

The file has one JSON event a line, or is an Avro object container file. Events are sent in their order; a request that gets no answer is sent again, so an
event can be stored twice when the network fails between the server and its answer.")]
pub struct Args {
    /// The stream.
    stream: String,
    /// The file, or - for standard input.
    file: PathBuf,
    /// Write the refused lines' numbers and reasons to this file. The server tells the first 100 of a request, so
    /// --batch 100 gets all of them.
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// Events per request.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Compress what is sent; auto: if the server is on another machine.
    #[arg(long, value_enum, default_value = "auto", value_name = "WHEN")]
    compress: Compress,
}

/// Whether requests are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Compress {
    Auto,
    Always,
    Never,
}

/// Sends a file. Returns whether every event was accepted.
///
/// # Errors
/// The file cannot be read, or the server refuses whole requests.
pub fn run(args: &Args, client: &Client, output: Output, quiet: bool) -> Result<bool> {
    let is_stdin = args.file.as_os_str() == "-";
    let (input, bytes): (Box<dyn Read>, u64) = if is_stdin {
        (Box::new(std::io::stdin().lock()), 0)
    } else {
        let open = || -> std::io::Result<_> {
            let file = std::fs::File::open(&args.file)?;
            let bytes = file.metadata()?.len();
            Ok((file, bytes))
        };
        let (file, bytes) = open().with_context(|| format!("cannot read {}", args.file.display()))?;
        (Box::new(file), bytes)
    };
    let bar = progress(bytes, quiet);
    let is_compressed = args.compress == Compress::Always || (args.compress == Compress::Auto && !client.is_local());
    let sender = Sender::new(client.clone(), &args.stream, args.batch as usize).compressed(is_compressed);
    let mut input = BufReader::with_capacity(1 << 20, input);
    let is_avro = input.fill_buf().context("the file cannot be read")?.starts_with(avro::MAGIC);
    let summary = if is_avro { send_blocks(input, sender, &bar) } else { send_lines(input, sender, &bar) }?;
    bar.finish_and_clear();
    report(&summary, args.errors.as_deref())?;
    let value = json!({ "accepted": summary.accepted, "rejected": summary.rejected });
    print(output, &value, |_| {
        let rate = summary.accepted as f64 / summary.took.as_secs_f64().max(1e-9);
        format!("{} events accepted, {} rejected, {rate:.0} events/s\n", summary.accepted, summary.rejected)
    });
    Ok(summary.rejected == 0)
}

/// Sends an Avro file, some blocks at a time.
fn send_blocks(mut file: impl BufRead, sender: Sender, bar: &ProgressBar) -> Result<Summary> {
    let mut sender = sender.with_blocks_of(avro::header(&mut file)?);
    let mut next = 1;
    while let Some(block) = avro::block(&mut file)? {
        bar.inc(block.bytes.len() as u64);
        sender.push_block(next, block.events, &block.bytes)?;
        next += block.events;
    }
    sender.finish()
}

fn send_lines(mut lines: impl BufRead, mut sender: Sender, bar: &ProgressBar) -> Result<Summary> {
    let mut line = Vec::new();
    let mut number = 0;
    while {
        line.clear();
        lines.read_until(b'\n', &mut line).context("the file cannot be read")? > 0
    } {
        number += 1;
        bar.inc(line.len() as u64);
        let event = line.trim_ascii();
        if !event.is_empty() {
            sender.push(number, event)?;
        }
    }
    sender.finish()
}

fn progress(bytes: u64, quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(bytes);
    let template = if bytes > 0 {
        "{msg} [{wide_bar}] {bytes}/{total_bytes} {bytes_per_sec} {eta}"
    } else {
        "{msg} {spinner} {bytes} {bytes_per_sec}"
    };
    // The templates are constants that parse.
    bar.set_style(ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_message("ingest");
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

fn report(summary: &Summary, file: Option<&std::path::Path>) -> Result<()> {
    match file {
        Some(file) => {
            let mut out = std::fs::File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
            for error in &summary.errors {
                writeln!(out, "{error}")?;
            }
        }
        None => summary.errors.iter().take(10).for_each(|error| eprintln!("{error}")),
    }
    let told = file.map_or(summary.errors.len().min(10), |_| summary.errors.len()) as u64;
    if summary.rejected > told {
        eprintln!("and {} more (--errors FILE --batch 100 would have kept all)", summary.rejected - told);
    }
    Ok(())
}
