//! `assay ingest`: sends the events of a file to a stream. The next batch is read while one is in flight.

mod avro;
mod cells;
mod csv;
mod json;
mod source;

use std::io::{BufRead, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::Output;
use super::progress::{Progress, Unit};
use super::sent::{RefusedEvents, max_listed, print_summary};
use crate::client::{Client, RequestError, escape};
use crate::failure;
use crate::send::{SendOptions, Sender, Summary};
use cells::Columns;
use source::{Shape, Source};

/// How to get the reasons that the error leaves out.
const ALL_REASONS: &str = "--errors FILE --batch 100 keeps all";

/// Send the events of a file to a stream.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay ingest payments payments.jsonl
  assay ingest payments payments.jsonl.gz
  assay ingest payments payments.csv
  assay ingest payments payments.avro --compress always
  tail -f payments.jsonl | assay ingest payments -
  assay ingest payments payments.jsonl --errors refused.txt --batch 100

The file has JSON objects (one per line, one after another, or as an array), is CSV with a header of field names (also \
with ';' or tabs; an empty cell means no value), or is an Avro object container file. Each may be compressed with gzip or \
zstd. The format is recognised by the content. CSV needs a key that may read the stream's schema.

Events are sent in order, at most 0.2 s after they were read. A request without an answer is sent again, so an event can \
be stored twice if the network loses an answer.")]
pub struct Args {
    /// The stream.
    stream: String,
    /// The file, or - for standard input.
    file: PathBuf,
    /// Write the numbers of refused lines and the reasons to this file. The server lists the first 100 of a request, so
    /// --batch 100 gets all of them.
    #[arg(long, value_name = "FILE")]
    errors: Option<PathBuf>,
    /// The largest number of events of a request.
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    batch: u32,
    /// Compress requests; auto: if the server is on another machine.
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

/// Sends a file.
///
/// # Errors
/// The file cannot be read, or the server refuses events or whole requests.
pub fn run(args: &Args, client: &Client, output: Output, quiet: bool) -> Result<()> {
    let (raw, length) = source::open_file(&args.file)?;
    let mut errors_file = match &args.errors {
        Some(file) => {
            let created = std::fs::File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
            Some(created)
        }
        None => None,
    };
    let progress = Progress::new("ingest", Unit::Bytes, length, quiet);
    let Source { shape, mut input } = source::recognize(progress.bar().wrap_read(raw), &args.file)?;
    let columns = match shape {
        Shape::Csv => Some(csv_columns(&mut input, &args.stream, client)?),
        _ => None,
    };
    let options = SendOptions {
        max_events: args.batch as usize,
        is_compressed: args.compress == Compress::Always || (args.compress == Compress::Auto && !client.is_local()),
        avro_header: if shape == Shape::Avro { Some(avro::read_header(&mut input)?) } else { None },
        output,
    };
    let mut sender = Sender::start(client.clone(), &args.stream, options);
    let read = match (shape, columns) {
        (Shape::Avro, _) => send_blocks(input, &mut sender),
        (Shape::Values, _) => send_values(input, &mut sender),
        (_, Some((records, columns))) => send_records(records.resume(input), &columns, &mut sender),
        _ => send_lines(input, &mut sender),
    };
    // Events before a mistake in the file are sent. The error of a failed request takes precedence over that mistake.
    let summary = sender.finish()?;
    drop(progress);
    let refused = report(&summary, errors_file.as_mut(), output)?;
    match (read, refused) {
        (Err(error), Some(refused)) => {
            // The mistake in the file is the last error.
            failure::report_error(&refused.into(), output);
            Err(error)
        }
        (Err(error), None) => Err(error),
        (Ok(()), Some(refused)) => Err(refused.into()),
        (Ok(()), None) => Ok(()),
    }
}

/// Sends the blocks of an Avro file.
fn send_blocks(mut file: impl BufRead, sender: &mut Sender) -> Result<()> {
    let mut next = 1;
    while let Some(block) = avro::read_block(&mut file)? {
        sender.push_block(next, block.events, block.bytes)?;
        next += block.events;
    }
    Ok(())
}

fn send_lines(mut lines: impl BufRead, sender: &mut Sender) -> Result<()> {
    let mut line = Vec::new();
    let mut number = 0;
    while {
        line.clear();
        lines.read_until(b'\n', &mut line).context(source::UNREADABLE)? > 0
    } {
        number += 1;
        let event = line.trim_ascii();
        if !event.is_empty() {
            sender.push(number, event)?;
        }
    }
    Ok(())
}

fn send_values(input: impl BufRead, sender: &mut Sender) -> Result<()> {
    let mut values = json::Values::new(input);
    while let Some((line, value)) = values.next_value()? {
        sender.push(line, value)?;
    }
    Ok(())
}

fn send_records(mut records: csv::Records<impl BufRead>, columns: &Columns, sender: &mut Sender) -> Result<()> {
    while let Some((line, cells)) = records.next_record()? {
        match columns.event(&cells) {
            Ok(event) => sender.push(line, event.to_string().as_bytes())?,
            Err(why) => sender.reject(line, &why),
        }
    }
    Ok(())
}

/// Reads the header of a CSV file, and finds its columns in the stream's schema.
fn csv_columns(input: &mut impl BufRead, stream: &str, client: &Client) -> Result<(csv::CsvPosition, Columns)> {
    let mut records = csv::Records::begin(input)?;
    let Some((_, header)) = records.next_record()? else { bail!("the file has no header") };
    let definition = match client.get(&format!("/v1/streams/{}", escape(stream))) {
        Err(RequestError::Refused { status: 403, .. }) => {
            bail!("CSV needs the stream's schema, which this key may not read: it also needs the role read")
        }
        definition => definition?,
    };
    let schema: &Value = &definition["definition"]["schema"];
    let columns = Columns::new(&header, schema)?;
    Ok((records.position(), columns))
}

/// Writes the reasons of refused events to the file of `--errors`, or prints the first ones; then prints the summary.
/// Returns the error about refused events.
fn report(summary: &Summary, file: Option<&mut std::fs::File>, output: Output) -> Result<Option<RefusedEvents>> {
    let refused = match file {
        Some(file) => {
            for event in &summary.errors {
                writeln!(file, "{event}").context("cannot write the file of --errors")?;
            }
            RefusedEvents::find(summary, usize::MAX, ALL_REASONS)
        }
        None => {
            let refused = RefusedEvents::find(summary, max_listed(output), ALL_REASONS);
            refused.iter().for_each(|refused| refused.print_events(output));
            refused
        }
    };
    print_summary(summary, output);
    Ok(refused)
}
