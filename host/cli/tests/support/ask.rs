//! Questions to servers that must be answered, many of them at once.

use serde_json::Value;

use crate::support::Server;

/// How many questions are under way at once.
const AT_ONCE: usize = 4;

/// All items of a listing, page by page.
pub(crate) fn listing(server: &Server, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let path = cursor.as_str().map_or(path.to_owned(), |cursor| format!("{path}&cursor={}", escaped(cursor)));
        let (status, page) = server.get(&path);
        if status == 404 && items.is_empty() {
            // Nothing is known of the entity or the node.
            return items;
        }
        assert_eq!(status, 200, "GET {path}: {page}");
        items.extend(page["items"].as_array().unwrap().iter().cloned());
        cursor = page["cursor"].clone();
        if cursor.is_null() {
            return items;
        }
    }
}

/// Does something for each item, some at once; the results are in the order of the items.
pub(crate) fn for_each<I: Sync, T: Send>(items: &[I], action: impl Fn(usize, &I) -> T + Sync) -> Vec<T> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let index = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let Some(item) = items.get(index) else { return done };
            done.push((index, action(index, item)));
        }
    };
    let mut results: Vec<(usize, T)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

/// A text as a part of a path or of a query.
pub(crate) fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
