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

use crate::shared::{FIRST_DELAY, LONGEST_DELAY};

/// What a dead letter says of an event that makes this program panic.
pub const EVENT_PANICKED: &str = "event-panicked";

/// How many threads are counted by name; all others together.
const MAX_NAMES: usize = 64;
/// The name under which the others are counted.
const OTHERS: &str = "others";
/// How often a thread that waits after a panic looks whether it is over.
const LOOK: Duration = Duration::from_millis(20);
/// So many directories of a source file's path are told.
const PATH_PARTS: usize = 5;

/// A panic that was caught: its words, and its place in the source.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("panicked: {0}")]
pub struct Panicked(String);

thread_local! {
    /// The words and the place of this thread's last panic.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

static BOOK: Mutex<Book> = Mutex::new(Book { counts: BTreeMap::new(), failing: BTreeMap::new() });

struct Book {
    /// Panics by thread.
    counts: BTreeMap<String, u64>,
    /// Threads that have panicked and not worked again since, with the panic.
    failing: BTreeMap<String, String>,
}

fn book() -> MutexGuard<'static, Book> {
    // Each change is a single insert or remove.
    BOOK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the words and the place of panics from now on, and counts them. The hook that was there is called after that.
pub fn observe() {
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
    let words = words(panic.payload());
    let told = match panic.location() {
        Some(place) => format!("{words} (at {}:{})", short(place.file()), place.line()),
        None => words.to_owned(),
    };
    // A thread that ends has no such place any more; its panic is counted all the same.
    let _ = LAST.try_with(|last| last.replace(Some(told)));
    let thread = std::thread::current();
    let name = thread.name().unwrap_or(OTHERS);
    let mut book = book();
    let is_known = book.counts.len() < MAX_NAMES || book.counts.contains_key(name);
    *book.counts.entry(if is_known { name } else { OTHERS }.to_owned()).or_default() += 1;
}

fn words(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without words")
}

/// A source file without the folders of the machine that compiled it.
fn short(file: &str) -> &str {
    let parts = file.rmatch_indices('/').nth(PATH_PARTS - 1);
    if file.starts_with('/') { parts.map_or(file, |(at, _)| &file[at + 1..]) } else { file }
}

/// Runs something. A panic comes back as an error: whoever calls drops what was in hand, or makes it anew.
///
/// # Errors
/// It panicked.
pub fn catch<T>(act: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(act)).map_err(|payload| {
        let told = LAST.try_with(RefCell::take).ok().flatten();
        Panicked(told.unwrap_or_else(|| words(&*payload).to_owned()))
    })
}

/// How many panics there were in this process, by thread.
pub(crate) fn counts() -> Vec<(String, u64)> {
    book().counts.iter().map(|(name, count)| (name.clone(), *count)).collect()
}

/// Threads that have panicked and not worked again since, with the panic.
pub(crate) fn failing() -> Vec<(String, String)> {
    book().failing.iter().map(|(name, why)| (name.clone(), why.clone())).collect()
}

/// A thread that goes on after a panic tells by this that it works.
pub struct Heartbeat {
    name: String,
    has_failed: Cell<bool>,
    delay: Cell<Duration>,
}

impl Heartbeat {
    /// The thread has done a round of its work.
    pub fn beat(&self) {
        if self.has_failed.replace(false) {
            self.delay.set(FIRST_DELAY);
            book().failing.remove(&self.name);
        }
    }

    /// Notes a panic. Returns how long to wait.
    fn fail(&self, panicked: &Panicked) -> Duration {
        tracing::error!(thread = self.name, %panicked, "a thread goes on after a panic");
        self.has_failed.set(true);
        book().failing.insert(self.name.clone(), panicked.to_string());
        self.delay.replace((self.delay.get() * 2).min(LONGEST_DELAY))
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        self.beat();
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
    observe();
    let name = name.into();
    let heartbeat = Heartbeat { name: name.clone(), has_failed: Cell::new(false), delay: Cell::new(FIRST_DELAY) };
    Builder::new().name(name).spawn(move || {
        while let Err(panicked) = catch(|| work(&heartbeat)) {
            let until = Instant::now() + heartbeat.fail(&panicked);
            while !is_over() && Instant::now() < until {
                std::thread::sleep(LOOK);
            }
            if is_over() {
                break;
            }
        }
    })
}

/// Does something with each of some items at the same time, on threads of their own, and waits for all of them.
pub(crate) fn on_threads<I: Send, T: Send>(
    name: &str,
    items: impl Iterator<Item = I>,
    act: impl Fn(I) -> T + Sync,
) -> Vec<Result<T, Panicked>> {
    let act = &act;
    std::thread::scope(|scope| {
        let start = |item| Builder::new().name(name.to_owned()).spawn_scoped(scope, move || catch(|| act(item)));
        let started: Vec<_> = items.map(start).collect();
        let end = |thread: std::io::Result<std::thread::ScopedJoinHandle<'_, _>>| match thread.map(|one| one.join()) {
            Ok(Ok(done)) => done,
            // Not reached: the thread catches its panic.
            Ok(Err(payload)) => Err(Panicked(words(&*payload).to_owned())),
            Err(error) => Err(Panicked(format!("no thread: {error}"))),
        };
        started.into_iter().map(end).collect()
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
        observe();
        assert_eq!(catch(|| 1), Ok(1));
        let told = catch(|| panic!("the number {}", 7)).unwrap_err().to_string();
        assert!(told.starts_with("panicked: the number 7 (at ") && told.contains("src/panics.rs:"), "{told}");
        let told = catch(|| std::panic::panic_any(5)).unwrap_err().to_string();
        assert!(told.contains("without words"), "{told}");
        assert_eq!(
            short("/home/who/.cargo/registry/src/index/some-crate/src/deep/file.rs"),
            "index/some-crate/src/deep/file.rs"
        );
        assert_eq!(short("host/core/src/view.rs"), "host/core/src/view.rs");
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
                heartbeat.beat();
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

    #[test]
    fn what_panics_on_one_thread_costs_the_others_nothing() {
        let done = on_threads("panics-many", 0..5, |item| {
            assert!(item != 3, "item {item}");
            item * 2
        });
        let done: Vec<Option<i32>> = done.into_iter().map(Result::ok).collect();
        assert_eq!(done, [Some(0), Some(2), Some(4), None, Some(8)]);
    }
}
