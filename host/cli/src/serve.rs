//! The composition root: the one place where stores, runtime, engine and API meet.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use assay_api::App;
use assay_engine::{Engine, Metrics};
use assay_runtime::Runtime;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{self, Config};
use crate::stores::Stores;

/// Run the server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay serve                                   everything in ./assay-data, on http://127.0.0.1:7717
  assay serve --config /etc/assay.toml
  ASSAY_SERVER__LISTEN=0.0.0.0:7717 assay serve
  assay serve --print-config                    what would be used, as a file to begin with

The first start prints an admin key once. ASSAY_ADMIN_KEY gives one instead.")]
pub struct Args {
    /// The config file (TOML). Without it, defaults and the environment.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder; overrides the config.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen; port 0 means any free one; overrides the config.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Print the effective config and end.
    #[arg(long)]
    print_config: bool,
}

/// Runs the server until it is told to stop.
///
/// # Errors
/// It cannot start, or it did not stop well; the message says what to do.
pub fn run(args: Args) -> Result<()> {
    let mut config = config::load(args.config.as_deref())?;
    if let Some(data) = args.data {
        config.data.dir = data;
    }
    if let Some(listen) = args.listen {
        config.server.listen = listen;
    }
    if args.print_config {
        crate::commands::say(&config.to_toml()?);
        return Ok(());
    }
    config::log::start(&config.log)?;
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads for HTTP")?;
    tokio.block_on(serve(config))
}

async fn serve(config: Config) -> Result<()> {
    let dir = &config.data.dir;
    // Bound before anything is opened: a second server is told so at once.
    let listen = &config.server.listen;
    let listener = TcpListener::bind(listen).await.with_context(|| {
        format!("cannot listen on {listen}: is another server there? --listen 127.0.0.1:0 takes any free port")
    })?;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make the data folder {}", dir.display()))?;
    let opened = config.clone();
    let stores = tokio::task::spawn_blocking(move || Stores::open(&opened)).await??;
    let runtime = Runtime::new(config.runtime())?;
    let metrics = Arc::new(Metrics::new());
    let ports = stores.ports();
    let engine_config = config.engine();
    let started = move || Engine::start(ports, runtime, engine_config, metrics);
    let engine = tokio::task::spawn_blocking(started).await?;
    let served = match &engine {
        Ok(engine) => serve_http(&config, listener, engine, &stores).await,
        Err(_) => Ok(()),
    };
    // Adapters have runtimes of their own, which must not be dropped on a thread of this one.
    let closed = tokio::task::spawn_blocking(move || {
        let engine = engine?;
        engine.shutdown();
        drop(engine);
        stores.shutdown()
    });
    closed.await??;
    tracing::info!("stopped; everything is saved");
    served
}

/// Serves until it is told to stop.
async fn serve_http(config: &Config, listener: TcpListener, engine: &Engine, stores: &Stores) -> Result<()> {
    let key = first_key(engine.clone()).await?;
    let address = listener.local_addr().context("the listener has no address")?;
    let measured = engine.clone();
    let _report = stores.report(config, address.port(), move || measured.measure())?;
    announce(&stores.place(config), &format!("http://{address}"), key.as_deref())?;
    let app = App::new(engine.clone(), config.api());
    assay_api::run(listener, app, stop_signal()?).await?;
    tracing::info!("stopping: workers finish their batch and save a checkpoint");
    Ok(())
}

/// The admin key to show: made at the first start, unless the environment gives one.
async fn first_key(engine: Engine) -> Result<Option<String>> {
    let make = move || match std::env::var("ASSAY_ADMIN_KEY") {
        Ok(secret) => assay_api::ensure_admin_key(&engine, &secret).map(|()| None),
        Err(_) => assay_api::first_key(&engine),
    };
    Ok(tokio::task::spawn_blocking(make).await??)
}

fn announce(place: &str, url: &str, key: Option<&str>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "assay {}, data in {}", env!("CARGO_PKG_VERSION"), place)?;
    if let Some(key) = key {
        writeln!(out, "admin key: {key}")?;
        writeln!(out, "  It is shown once. Use it as: export ASSAY_URL={url} ASSAY_KEY={key}")?;
    }
    writeln!(out, "listening on {url}")?;
    out.flush()?;
    Ok(())
}

/// Done at the first SIGTERM or SIGINT; the second ends the process at once.
fn stop_signal() -> Result<impl Future<Output = ()>> {
    let mut term = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    Ok(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        tracing::info!("asked to stop; ask again to stop at once");
        tokio::spawn(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            std::process::exit(130);
        });
    })
}
