//! Uploads that keep a compiler busy for minutes, or make it fill the memory: refused by name of the limit, while events
//! are judged and other plugins are taken.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the message")]

mod support;

use std::path::Path;
use std::time::Instant;

use serde_json::{Value, json};
use support::{Server, pack, plugins};

/// Appends items to the sections of a module that hold lists of items.
fn with(module: &[u8], more: &[(u8, u64, &[u8])]) -> Vec<u8> {
    let mut bytes = module[..8].to_vec();
    let mut rest = &module[8..];
    while let [id, behind @ ..] = rest {
        let (length, behind) = number(behind);
        let (section, behind) = behind.split_at(length as usize);
        rest = behind;
        let mut section = section.to_vec();
        for (_, count, items) in more.iter().filter(|(of, ..)| of == id) {
            let (before, old) = number(&section);
            section = [&leb128(before + count), old, items].concat();
        }
        bytes.push(*id);
        bytes.extend(leb128(section.len() as u64));
        bytes.extend(section);
    }
    bytes
}

/// An unsigned number in LEB128, and what is behind it.
fn number(bytes: &[u8]) -> (u64, &[u8]) {
    let length = bytes.iter().position(|byte| byte & 0x80 == 0).unwrap() + 1;
    let value = bytes[..length].iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
    (value, &bytes[length..])
}

fn leb128(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

const LOCALS: u64 = 2_000;

/// A function's body: loops in each other, each of which changes all locals and may leave to any of the others, so that
/// the compiler has to know where each value lives at each of their ends.
fn tangle(loops: usize) -> Vec<u8> {
    let mut code = Vec::new();
    for _ in 0..loops {
        // loop, without a type
        code.extend([0x03, 0x40]);
    }
    for depth in 0..loops {
        for local in 0..LOCALS / 8 {
            let (from, to) = ((local * 7 + depth as u64 * 13) % LOCALS, (local * 11 + depth as u64 * 17) % LOCALS);
            // local.get from, local.get to, i64.add, local.set to
            code.extend([&[0x20][..], &leb128(from), &[0x20], &leb128(to), &[0x7c, 0x21], &leb128(to)].concat());
        }
        // local.get, i32.wrap_i64, br_if 0, end
        code.extend([&[0x20][..], &leb128(depth as u64 % LOCALS), &[0xa7, 0x0d, 0x00, 0x0b]].concat());
    }
    code.push(0x0b);
    // One group of locals, of type i64.
    let body = [&[1][..], &leb128(LOCALS), &[0x7e], &code].concat();
    [leb128(body.len() as u64), body].concat()
}

/// A plugin with functions that nobody calls.
fn costly(functions: u64, body: &[u8]) -> Vec<u8> {
    let wasm = std::fs::read(plugins().join("threshold_tagger.wasm")).unwrap();
    let types = with(&wasm, &[(1, 1, &[0x60, 0, 0])]);
    // The new type is the last one.
    let last = number(&types[types_at(&types)..]).0 - 1;
    let declared = leb128(last).repeat(functions as usize);
    with(&types, &[(3, functions, &declared), (10, functions, &body.repeat(functions as usize))])
}

/// Where the content of the section of types begins: it is the first section.
fn types_at(module: &[u8]) -> usize {
    assert_eq!(module[8], 1);
    module.len() - number(&module[9..]).1.len()
}

/// An upload within all bounds of size, whose compilation takes a minute and a half of CPU time, and 290 MB.
fn bomb() -> Vec<u8> {
    costly(200, &tangle(20))
}

fn start(folder: &Path, settings: &[(&str, &str)]) -> Server {
    let server = Server::start(&folder.join("data"), None, settings);
    server.command(&[&"apply", &pack("payments"), &"--plugins", &plugins()]);
    server
}

/// Uploads what must be refused, and returns what is said of it.
fn refused(server: &Server, wasm: &[u8]) -> String {
    let (status, text) = server.send("POST", "/v1/plugins", Some(("application/wasm", wasm))).unwrap();
    let problem: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &problem["type"]), (422, &"urn:assay:invalid-plugin".into()), "{problem}");
    problem["detail"].as_str().unwrap().to_owned()
}

/// Sends a payment and waits for its verdicts.
fn judge(server: &Server, id: &str) {
    let event = json!({ "id": id, "card": "c1", "merchant": "m1", "category": "grocery", "country": "FR", "amount": 12.5,
        "time": "2026-10-01T10:00:00Z", "lat": 48.9, "lon": 2.4, "channel": "chip", "device": null });
    let path = "/v1/streams/payments/events?wait=verdicts&timeout=60s";
    let (status, text) = server.send("POST", path, Some(("application/json", event.to_string().as_bytes()))).unwrap();
    assert_eq!(status, 200, "{text}");
}

#[test]
fn an_upload_that_takes_minutes_to_compile_is_refused_and_delays_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[("ASSAY_PLUGINS__COMPILE_TIME", "3s")]);
    let (bomb, begun) = (bomb(), Instant::now());
    std::thread::scope(|scope| {
        let uploaded = scope.spawn(|| refused(&server, &bomb));
        let mut judged = 0;
        while !uploaded.is_finished() {
            judge(&server, &format!("p{judged}"));
            judged += 1;
        }
        let said = uploaded.join().unwrap();
        assert!(said.contains("stopped after 3 s of CPU time") && said.contains("plugins.compile_time"), "{said}");
        println!("refused after {:?}; {judged} payments were judged meanwhile", begun.elapsed());
        assert!(judged > 3, "{judged}");
    });
    // What costs no more than a plugin may is compiled as before; this one has the name and version of another.
    let other = costly(1, &tangle(1));
    let (status, text) = server.send("POST", "/v1/plugins", Some(("application/wasm", &other))).unwrap();
    assert!(status == 409 && text.contains("was uploaded before with other bytes"), "{status} {text}");
}

#[test]
fn an_upload_that_fills_the_memory_of_the_compiler_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let server = start(folder.path(), &[("ASSAY_PLUGINS__COMPILE_MEMORY_MIB", "256")]);
    // One function, whose compilation takes more than a gigabyte.
    let said = refused(&server, &costly(1, &tangle(300)));
    assert!(said.contains("more than 256 MiB") && said.contains("plugins.compile_memory_mib"), "{said}");
    judge(&server, "p1");
}

#[test]
fn the_compiler_process_reports_the_mistakes_of_an_upload() {
    let folder = tempfile::tempdir().unwrap();
    // It names the interface, and has a function of it that fits nothing.
    let export = b"assay:plugin/scoring@1.0.0#score";
    let named = [&[1, export.len() as u8][..], export, &[0, 0]].concat();
    let module = |section: u8, content: &[u8]| [&[section, content.len() as u8][..], content].concat();
    let parts = [module(1, &[1, 0x60, 0, 0]), module(3, &[1, 0]), module(7, &named), module(10, &[1, 2, 0, 0x0b])];
    let server = Server::start(&folder.path().join("data"), None, &[]);
    let said = refused(&server, &[&b"\0asm\x01\0\0\0"[..], &parts.concat()].concat());
    assert!(said.starts_with("the plugin does not fit assay:plugin@1: "), "{said}");
}
