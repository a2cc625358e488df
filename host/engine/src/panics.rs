//! Panics: caught where they cost least, told with their words and their place, counted by thread. This is the only
//! place of the engine and the stores that starts threads, so that none can be forgotten.
//!
//! The panic hook belongs to the process, so what it counts does, too.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use assay_core::failure_code::FailureCode;

use crate::shared::{MAX_RETRY_DELAY, MIN_RETRY_DELAY};

/// What a dead letter says of an event that makes this program panic.
pub const EVENT_PANICKED: &str = FailureCode::EventPanicked.as_str();

/// How many threads are counted by name; all others together.
const MAX_THREAD_NAMES: usize = 64;
/// The name under which the others are counted.
const OTHERS: &str = "others";
/// How often a thread that waits after a panic looks whether it is over.
const RESTART_POLL_INTERVAL: Duration = Duration::from_millis(20);
/// So many directories of a source file's path are told.
const MAX_PATH_PARTS: usize = 5;

/// A panic that was caught: its words, and its place in the source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {0}")]
pub struct Panicked(String);

thread_local! {
    /// The words and the place of this thread's last panic.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

static PANIC_TABLE: Mutex<PanicTable> = Mutex::new(PanicTable { counts: BTreeMap::new(), failing: BTreeMap::new() });

struct PanicTable {
    /// Panics by thread.
    counts: BTreeMap<String, u64>,
    /// Threads that have panicked and not worked again since, with the panic.
    failing: BTreeMap<String, String>,
}

fn panic_table() -> MutexGuard<'static, PanicTable> {
    // Each change is a single insert or remove.
    PANIC_TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the words and the place of panics from now on, and counts them. The hook that was there is called after that.
pub fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            note(panic);
            before(panic);
        }));
    });
}

fn note(panic: &PanicHookInfo<'_>) {
    let payload_text = payload_text(panic.payload());
    let text = match panic.location() {
        Some(place) => format!("{payload_text} (at {}:{})", shorten_path(place.file()), place.line()),
        None => payload_text.to_owned(),
    };
    // A thread that ends has no such place any more; its panic is counted all the same.
    let _ = LAST.try_with(|last| last.replace(Some(text)));
    let thread = std::thread::current();
    let name = thread.name().unwrap_or(OTHERS);
    let mut panic_table = panic_table();
    let is_known = panic_table.counts.len() < MAX_THREAD_NAMES || panic_table.counts.contains_key(name);
    *panic_table.counts.entry(if is_known { name } else { OTHERS }.to_owned()).or_default() += 1;
}

fn payload_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

/// A source file without the folders of the machine that compiled it.
fn shorten_path(file: &str) -> &str {
    let parts = file.rmatch_indices('/').nth(MAX_PATH_PARTS - 1);
    if file.starts_with('/') { parts.map_or(file, |(at, _)| &file[at + 1..]) } else { file }
}

/// Runs something. A panic comes back as an error: whoever calls drops what was in hand, or makes it anew.
///
/// # Errors
/// It panicked.
pub fn catch<T>(act: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|payload| {
        let text = LAST.try_with(RefCell::take).ok().flatten();
        Panicked(text.unwrap_or_else(|| payload_text(&*payload).to_owned()))
    })
}

/// How many panics there were in this process, by thread.
pub(crate) fn counts() -> Vec<(String, u64)> {
    panic_table().counts.iter().map(|(name, count)| (name.clone(), *count)).collect()
}

/// Threads that have panicked and not worked again since, with the panic.
pub(crate) fn failing() -> Vec<(String, String)> {
    panic_table().failing.iter().map(|(name, why)| (name.clone(), why.clone())).collect()
}

/// A thread that goes on after a panic tells by this that it works.
pub struct Heartbeat {
    name: String,
    has_failed: Cell<bool>,
    delay: Cell<Duration>,
}

impl Heartbeat {
    /// The thread has done a round of its work.
    pub fn mark_alive(&self) {
        if self.has_failed.replace(false) {
            self.delay.set(MIN_RETRY_DELAY);
            panic_table().failing.remove(&self.name);
        }
    }

    /// Notes a panic. Returns how long to wait.
    fn fail(&self, panicked: &Panicked) -> Duration {
        tracing::error!(thread = self.name, %panicked, "a thread goes on after a panic");
        self.has_failed.set(true);
        panic_table().failing.insert(self.name.clone(), panicked.to_string());
        self.delay.replace((self.delay.get() * 2).min(MAX_RETRY_DELAY))
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.mark_alive();
    }
}

/// Starts a thread that does not end by a panic: `work` is called again, after a while that grows with each panic, until
/// it returns, or `is_over` says so after a panic. It is called with what it has left behind, so it must begin with that
/// in order; it tells by the heartbeat whenever it has done a round.
///
/// # Errors
/// The system has no more threads.
pub fn spawn(
    name: impl Into<String>,
    is_over: impl Fn() -> bool + Send + 'static,
    mut work: impl FnMut(&Heartbeat) + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    install_hook();
    let name = name.into();
    let heartbeat = Heartbeat { name: name.clone(), has_failed: Cell::new(false), delay: Cell::new(MIN_RETRY_DELAY) };
    Builder::new().name(name).spawn(move || {
        while let Err(panicked) = catch(|| work(&heartbeat)) {
            let until = Instant::now() + heartbeat.fail(&panicked);
            while !is_over() && Instant::now() < until {
                std::thread::sleep(RESTART_POLL_INTERVAL);
            }
            if is_over() {
                break;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn is_failing(name: &str) -> bool {
        failing().iter().any(|(failing, _)| failing == name)
    }

    #[test]
    fn a_panic_comes_back_with_its_words_and_its_place() {
        install_hook();
        assert_eq!(catch(|| 1), Ok(1));
        let text = catch(|| panic!("the number {}", 7)).unwrap_err().to_string();
        assert!(text.starts_with("panicked: the number 7 (at ") && text.contains("src/panics.rs:"), "{text}");
        let text = catch(|| std::panic::panic_any(5)).unwrap_err().to_string();
        assert!(text.contains("without words"), "{text}");
        assert_eq!(
            shorten_path("/home/who/.cargo/registry/src/index/some-crate/src/deep/file.rs"),
            "index/some-crate/src/deep/file.rs"
        );
        assert_eq!(shorten_path("host/core/src/view.rs"), "host/core/src/view.rs");
    }

    #[test]
    fn a_thread_goes_on_after_panics_and_says_how_it_is() {
        let rounds = Arc::new(AtomicU32::new(0));
        let done = rounds.clone();
        let thread = spawn(
            "panics-test",
            || false,
            move |heartbeat| {
                let round = done.fetch_add(1, Ordering::SeqCst);
                assert!(is_failing("panics-test") == (round > 0));
                assert!(round >= 2, "round {round}");
                heartbeat.mark_alive();
                assert!(!is_failing("panics-test"));
            },
        );
        thread.unwrap().join().unwrap();
        assert_eq!(rounds.load(Ordering::SeqCst), 3);
        assert!(counts().contains(&("panics-test".to_owned(), 2)));
        let thread = spawn("panics-end", || true, |_| panic!("at the end"));
        thread.unwrap().join().unwrap();
        assert!(!is_failing("panics-end"), "a thread that has ended is no part any more");
    }
}
