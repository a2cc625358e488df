//! Parts of records, items of maps, and their presence.

use super::Case;

pub(crate) const CASES: &[Case] = &[
    ("has(msg.a)", "true"),
    ("has(msg.b)", "false"),
    ("msg.b", "-"),
    ("has(absent)", "false"),
    ("m.key1", "1"),
    ("m['key2']", "2"),
    ("m.key1 == 1", "true"),
    ("m['key1'] + m.key2", "3"),
    ("has(m.key1)", "true"),
    ("has(m.key3)", "false"),
    ("'key2' in m", "true"),
    ("'' in m", "false"),
    ("'key1' in empty", "false"),
    ("size(m)", "2"),
    ("size(empty)", "0"),
    ("msg.nothing", "refused: unknown name 'msg.nothing'"),
    ("x.y", "refused: unknown name 'x.y'"),
    ("m[1]", "refused: expected string, found int"),
];
