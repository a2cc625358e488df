//! The composition root: the one place where stores, runtime, engine and API meet.

use std::ffi::OsString;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use assay_api::App;
use assay_engine::{Engine, Metrics};
use assay_runtime::Runtime;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::config::secret::Secret;
use crate::config::{self, Config};
use crate::listen::bind_address;
use crate::recovery;
use crate::stores::Stores;

/// The signal of a write beyond the limit on file sizes. It has the same number on all supported systems.
const SIGXFSZ: i32 = 25;

/// Run the server.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  assay serve                                   everything in ./assay-data, on http://127.0.0.1:7717
  assay serve --config /etc/assay.toml
  ASSAY_SERVER__LISTEN=0.0.0.0:7717 assay serve
  assay serve --print-config                    print the effective config as a file

The first start prints an admin key once. To set it yourself, use ASSAY_ADMIN_KEY, or ASSAY_ADMIN_KEY_FILE with a file.")]
pub struct Args {
    /// The config file (TOML). Without it the server uses defaults and the environment.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The data folder. Overrides the config.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The address to listen on; port 0 means any free one. Overrides the config.
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Print the effective config, without secrets, and exit.
    #[arg(long)]
    print_config: bool,
    /// Start although stored data is missing from the data folder, and continue without it for good. Restoring a backup
    /// is better.
    #[arg(long)]
    accept_loss: bool,
}

/// Runs the server until a signal stops it.
///
/// # Errors
/// The server cannot start, or did not stop cleanly. The message has the remedy.
pub fn run(args: Args) -> Result<()> {
    let mut config = config::load(args.config.as_deref())?;
    if let Some(data) = args.data {
        config.data.dir = data;
    }
    if let Some(listen) = args.listen {
        config.server.listen = listen;
    }
    if args.print_config {
        crate::commands::print_text(&config.to_toml()?);
        return Ok(());
    }
    config.data.accept_loss = args.accept_loss;
    config::log::start(&config.log)?;
    let tokio = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads for HTTP")?;
    tokio.block_on(serve(config))
}

async fn serve(config: Config) -> Result<()> {
    // Bound before anything is opened, so that a second server fails at once.
    let listener = bind_address(&config.server.listen, "--listen or server.listen").await?;
    let health = match config.server.health_listen.as_str() {
        "" => None,
        address => Some(bind_address(address, "server.health_listen").await?),
    };
    let listener = listener.into_std().context("the listener cannot be shared")?;
    let health = health.map(TcpListener::into_std).transpose().context("the listener cannot be shared")?;
    let dir = &config.data.dir;
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make the data folder {}", dir.display()))?;
    let (metrics, stop) = (Arc::new(Metrics::new()), watch_stop_signals()?);
    // With a handler, a write beyond the limit on file sizes is an error instead of the end of the process.
    let _file_limit = signal(SignalKind::from_raw(SIGXFSZ)).context("cannot listen for SIGXFSZ")?;
    let mut stores = open_stores(&config).await?;
    let mut is_first = true;
    loop {
        let share = |listener: &std::net::TcpListener| TcpListener::from_std(listener.try_clone()?);
        let listeners = Listeners {
            api: share(&listener).context("the listener cannot be shared")?,
            health: health.as_ref().map(share).transpose().context("the listener cannot be shared")?,
        };
        let round = ServeRound { config: &config, metrics: &metrics, stop: &stop, is_first };
        match round.run(stores, listeners).await? {
            RoundEnd::Stopped => return Ok(()),
            RoundEnd::StoreFailed => {}
        }
        let mut stop = stop.clone();
        stores = tokio::select! {
            stores = recovery::reopen(&config) => stores?,
            _ = stop.wait_for(|is_asked| *is_asked) => return Ok(()),
        };
        is_first = false;
    }
}

async fn open_stores(config: &Config) -> Result<Stores> {
    let config = config.clone();
    tokio::task::spawn_blocking(move || Stores::open(&config)).await?
}

/// The sockets of the server.
struct Listeners {
    api: TcpListener,
    /// For probes only.
    health: Option<TcpListener>,
}

/// One round of serving: from opened stores to closed ones. A failed store ends a round, and the next one reopens it.
struct ServeRound<'s> {
    config: &'s Config,
    metrics: &'s Arc<Metrics>,
    stop: &'s watch::Receiver<bool>,
    /// True if this is the first round, which prints the addresses.
    is_first: bool,
}

/// Why a round ended.
enum RoundEnd {
    /// The server was asked to stop.
    Stopped,
    /// The stores failed, and can be reopened.
    StoreFailed,
}

impl ServeRound<'_> {
    async fn run(&self, stores: Stores, listeners: Listeners) -> Result<RoundEnd> {
        let runtime = Runtime::new(self.config.runtime_config())?;
        let (ports, engine_config, metrics) = (stores.ports(), self.config.engine_config(), self.metrics.clone());
        let started = move || Engine::start(ports, runtime, engine_config, metrics);
        let engine = tokio::task::spawn_blocking(started).await?;
        let (stores, is_started) = (Arc::new(stores), engine.is_ok());
        let served = match &engine {
            Ok(engine) => self.serve_http(listeners, engine, &stores).await,
            Err(_) => Ok(()),
        };
        let has_failed = stores.failure().is_some();
        // Adapters have Tokio runtimes of their own, which must not be dropped on a thread of this one.
        let closed = tokio::task::spawn_blocking(move || {
            let engine = engine?;
            engine.shutdown();
            drop(engine);
            stores.shutdown()
        });
        if has_failed && !self.has_first_start_failed(is_started) && !*self.stop.borrow() {
            recovery::wait_until_closed(closed).await;
            return served.map(|()| RoundEnd::StoreFailed);
        }
        closed.await??;
        tracing::info!("stopped; everything is saved");
        served.map(|()| RoundEnd::Stopped)
    }

    /// True if the first start failed. Then the process exits with the error.
    fn has_first_start_failed(&self, is_started: bool) -> bool {
        self.is_first && !is_started
    }

    /// Serves until a signal stops the server, or until failed stores can be reopened.
    async fn serve_http(&self, listeners: Listeners, engine: &Engine, stores: &Arc<Stores>) -> Result<()> {
        let key = prepare_admin_key(engine.clone()).await?;
        let address = listeners.api.local_addr().context("the listener has no address")?;
        let measured = engine.clone();
        let _report = stores.report(self.config, address.port(), move || measured.status().encode_metrics())?;
        let app = App::new(engine.clone(), self.config.api_config());
        // Probes are answered until requests in flight have finished.
        let (stop_health, stopped) = tokio::sync::oneshot::channel::<()>();
        let health = match listeners.health {
            Some(listener) => {
                let address = listener.local_addr().context("the listener has no address")?;
                if self.is_first {
                    announce_health(&format!("http://{address}"))?;
                }
                let stopped = async { drop(stopped.await) };
                Some(tokio::spawn(assay_api::run_health(listener, app.clone(), stopped)))
            }
            None => None,
        };
        if self.is_first {
            announce(&stores.describe_location(self.config), &format!("http://{address}"), key.as_deref())?;
        }
        let dir = self.config.data.dir.clone();
        let (mut stop, failed) = (self.stop.clone(), recovery::wait_until_recoverable(stores.clone(), dir));
        let end = async move {
            tokio::select! {
                // The sender is never dropped, so this only completes on a signal.
                _ = stop.wait_for(|is_asked| *is_asked) => {}
                () = failed => {}
            }
        };
        let served = assay_api::run(listeners.api, app, end).await;
        drop(stop_health);
        if let Some(health) = health {
            health.await??;
        }
        served?;
        if *self.stop.borrow() {
            tracing::info!("stopping: workers finish their batch and save a checkpoint");
        }
        Ok(())
    }
}

/// The admin key to print: generated at the first start, unless the environment gives one.
async fn prepare_admin_key(engine: Engine) -> Result<Option<String>> {
    let given = read_admin_key(std::env::var("ASSAY_ADMIN_KEY").ok(), std::env::var_os("ASSAY_ADMIN_KEY_FILE"))?;
    let make = move || match given {
        Some(secret) => assay_api::ensure_admin_key(&engine, secret.reveal()).map(|()| None),
        None => assay_api::first_key(&engine),
    };
    Ok(tokio::task::spawn_blocking(make).await??)
}

fn announce_health(url: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "health on {url}")?;
    out.flush()?;
    Ok(())
}

/// The admin key in the environment: the secret itself, or in a file.
fn read_admin_key(secret: Option<String>, file: Option<OsString>) -> Result<Option<Secret>> {
    let given = Secret::new(secret.unwrap_or_default());
    let key = config::secret::read_secret("ASSAY_ADMIN_KEY", &given, file.unwrap_or_default().as_ref())?;
    Ok((!key.is_empty()).then(|| Secret::new(key)))
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

/// Becomes true at the first SIGTERM or SIGINT. The second signal ends the process at once.
fn watch_stop_signals() -> Result<watch::Receiver<bool>> {
    let mut term = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut int = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let (asked, stop) = watch::channel(false);
    tokio::spawn(async move {
        for is_second in [false, true] {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if is_second {
                std::process::exit(130);
            }
            tracing::info!("stopping; a second signal ends the process at once");
            asked.send_replace(true);
        }
    });
    Ok(stop)
}
