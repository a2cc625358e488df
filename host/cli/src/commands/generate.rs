//! `assay generate`: generates realistic events for a file, standard output, or a server.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use assay_core::time_text::parse_time;
use indicatif::ProgressBar;
use serde_json::json;

use super::interrupt::Interrupt;
use super::progress::{Progress, Unit};
use super::sent::{RefusedEvents, max_listed, print_summary, time_and_rate};
use super::{Output, exit_after_stdout_error, print};
use crate::client::{Client, ServerArgs};
use crate::generate::{
    ContainerWriter, Payment, Payments, PaymentsConfig, payments_schema, sync_marker, write_avro, write_json,
};
use crate::send::{SendOptions, Sender, Summary};

/// Generate events of a pack.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay generate payments --count 10                             print some
  assay generate payments --count 200000 --to-file payments.jsonl
  assay generate payments --count 200000 --to-file payments.avro   an Avro object container file
  assay generate payments --rate 1000 --to-stream payments       to the server, 1,000 a second, until Ctrl-C

The same seed gives the same events on every machine.")]
pub struct Args {
    /// The pack whose events are generated.
    #[command(subcommand)]
    pack: Pack,
}

#[derive(Debug, clap::Subcommand)]
enum Pack {
    /// Card payments: cards, merchants, countries, places, bursts of fraud.
    #[command(after_help = "\
Examples:
  assay generate payments --count 10
  assay generate payments --count 200000 --to-file payments.avro
  assay generate payments --rate 1000 --to-stream payments
  assay generate payments --count 1000 --seed 7 --cards 50 --fraud-share 0.1
  assay generate payments --start 2026-01-05T08:00:00Z")]
    Payments(PaymentsArgs),
}

#[derive(Debug, clap::Args)]
struct PaymentsArgs {
    /// The number of payments; by default 10 for standard output and no limit for a stream.
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// The seed of the random numbers.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of payments per second; by default as many as possible.
    #[arg(long, value_name = "PER_SECOND", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    rate: Option<u64>,
    /// The number of cards.
    #[arg(long, default_value_t = 100_000)]
    cards: u32,
    /// The share of payments that are fraud.
    #[arg(long, default_value_t = 0.002)]
    fraud_share: f64,
    /// The time of the first payment, as 2026-01-05T08:00:00Z or in milliseconds since 1970.
    #[arg(long, value_name = "TIME", value_parser = parse_time, allow_negative_numbers = true)]
    start: Option<i64>,
    /// Write to a file: Avro if its name ends in .avro, else one JSON object per line.
    #[arg(long, value_name = "FILE", conflicts_with = "to_stream")]
    to_file: Option<PathBuf>,
    /// Send to a stream of the server.
    #[arg(long, value_name = "STREAM")]
    to_stream: Option<String>,
}

/// Generates events.
///
/// # Errors
/// The config is out of range, or the events cannot be written or sent.
pub fn run(args: &Args, server: &ServerArgs, output: Output, quiet: bool) -> Result<()> {
    let Pack::Payments(args) = &args.pack;
    let mut config = PaymentsConfig {
        seed: args.seed,
        cards: args.cards,
        fraud_share: args.fraud_share,
        ..PaymentsConfig::default()
    };
    if let Some(start) = args.start {
        config.start_ms = start;
    }
    let payments = Payments::new(&config)?;
    let is_endless = args.to_stream.is_some() && args.count.is_none();
    let count = args.count.unwrap_or(if is_endless { u64::MAX } else { 10 });
    let length = (!is_endless).then_some(count);
    let is_printed = args.to_file.is_none() && args.to_stream.is_none();
    let progress = Progress::new("generate", Unit::Events, length, quiet || is_printed);
    let events = RateLimited::new(payments.take(usize::try_from(count)?), args.rate, progress.bar().clone());
    match (&args.to_file, &args.to_stream) {
        (Some(file), _) => {
            let started = Instant::now();
            let written = write_file(events, file, args.seed)?;
            drop(progress);
            print_written(written, file, started.elapsed(), output);
        }
        (None, Some(stream)) => {
            let summary = send_to_stream(events, Client::new(server)?, stream, args.rate, output)?;
            drop(progress);
            let refused = RefusedEvents::find(&summary, max_listed(output), "the server lists 100 of each request");
            refused.iter().for_each(|refused| refused.print_events(output));
            print_summary(&summary, output);
            return refused.map_or(Ok(()), |refused| Err(refused.into()));
        }
        (None, None) => {
            let out = BufWriter::with_capacity(64 << 10, std::io::stdout().lock());
            write_lines(events, out).unwrap_or_else(|error| exit_after_stdout_error(&error));
        }
    }
    Ok(())
}

fn print_written(events: u64, file: &Path, took: Duration, output: Output) {
    let (file, seconds) = (file.display().to_string(), took.as_secs_f64());
    let value = json!({ "events": events, "file": file, "seconds": seconds });
    print(output, &value, |_| format!("{events} events written to {file}, {}\n", time_and_rate(events, seconds)));
}

/// Writes events to a file and returns their number.
fn write_file(payments: impl Iterator<Item = Payment>, file: &Path, seed: u64) -> Result<u64> {
    let out = File::create(file).with_context(|| format!("cannot write {}", file.display()))?;
    let out = BufWriter::with_capacity(1 << 20, out);
    if file.extension().is_none_or(|extension| extension != "avro") {
        return write_lines(payments, out).with_context(|| format!("cannot write {}", file.display()));
    }
    let mut container = ContainerWriter::new(out, &payments_schema()?, sync_marker(seed))?;
    let mut count = 0;
    for payment in payments {
        container.append(|datum| write_avro(&payment, datum))?;
        count += 1;
    }
    container.finish()?;
    Ok(count)
}

fn write_lines(payments: impl Iterator<Item = Payment>, mut out: impl Write) -> std::io::Result<u64> {
    let mut line = Vec::new();
    let mut count = 0;
    for payment in payments {
        line.clear();
        write_json(&payment, &mut line);
        line.push(b'\n');
        out.write_all(&line)?;
        count += 1;
    }
    out.flush()?;
    Ok(count)
}

/// Sends events until there are no more, or until Ctrl-C.
fn send_to_stream(
    payments: impl Iterator<Item = Payment>,
    client: Client,
    stream: &str,
    rate: Option<u64>,
    output: Output,
) -> Result<Summary> {
    // At a low rate a batch has the events of a tenth of a second, so that they arrive evenly.
    let batch = rate.map_or(5000, |rate| (rate / 10).clamp(1, 5000));
    let options = SendOptions { max_events: usize::try_from(batch)?, is_compressed: false, avro_header: None, output };
    let interrupt = Interrupt::watch()?;
    let mut sender = Sender::start(client, stream, options);
    let mut event = Vec::new();
    for (number, payment) in (1..).zip(payments.take_while(|_| !interrupt.is_asked())) {
        event.clear();
        write_json(&payment, &mut event);
        if sender.push(number, &event).is_err() {
            break;
        }
    }
    // Its error is the reason why pushing failed.
    sender.finish()
}

/// Yields events at a rate, and moves a progress bar.
struct RateLimited<I> {
    events: I,
    rate: Option<u64>,
    started: Instant,
    yielded: u64,
    bar: ProgressBar,
}

impl<I> RateLimited<I> {
    fn new(events: I, rate: Option<u64>, bar: ProgressBar) -> Self {
        Self { events, rate, started: Instant::now(), yielded: 0, bar }
    }
}

impl<I: Iterator> Iterator for RateLimited<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        if let Some(rate) = self.rate {
            let due = Duration::from_secs_f64(self.yielded as f64 / rate as f64);
            // Short sleeps are inaccurate, so the rate is kept in steps of a millisecond.
            if let Some(early) = due.checked_sub(self.started.elapsed()).filter(|early| early.as_millis() > 0) {
                std::thread::sleep(early);
            }
        }
        self.yielded += 1;
        // Moving the bar costs more than an event, so it is moved for each event only at low rates.
        if self.yielded.is_multiple_of(1024) || self.rate.is_some_and(|rate| rate < 10_000) {
            self.bar.set_position(self.yielded);
        }
        self.events.next()
    }
}
