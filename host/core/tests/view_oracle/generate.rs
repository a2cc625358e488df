//! Random events and windows.

use proptest::prelude::*;

/// The number of entities, whose slots are counted from 0.
pub(crate) const ENTITIES: u32 = 3;

/// An event of an entity.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) slot: u32,
    /// The time since the event before, in ms.
    pub(crate) step: i64,
    /// The value of `when`.
    pub(crate) when: Option<bool>,
    pub(crate) double: Option<f64>,
    pub(crate) int: Option<i64>,
    pub(crate) text: Option<String>,
    pub(crate) flag: Option<bool>,
}

/// The lengths of a window, in ms and in tiles. Without a shape the view is over all time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) width: i64,
    pub(crate) tiles: i64,
    pub(crate) lateness: i64,
    /// For a tumbling view, which has one tile: the time for which buckets are kept, in ms.
    pub(crate) keep: Option<i64>,
}

impl Shape {
    /// The number of kept tiles.
    pub(crate) fn kept(self) -> i64 {
        let (least, more) = self.keep.map_or((self.tiles, self.lateness), |keep| (0, keep));
        least + (more + self.width - 1) / self.width
    }
}

/// Random events.
pub(crate) fn events() -> impl Strategy<Value = Vec<Event>> {
    let double = prop_oneof![
        8 => (-1000..1000i32).prop_map(|n| f64::from(n) / 7.0),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, f64::MAX, f64::MIN_POSITIVE]),
    ];
    let int = prop_oneof![8 => -1000..1000i64, 1 => prop::sample::select(vec![i64::MAX, i64::MIN])];
    let text = prop_oneof![8 => "[a-c]{0,2}", 2 => "[a-c]{6,9}", 1 => "é{120,140}"];
    // Mostly small steps forward, also of 0; sometimes far back, or forward by more than the window.
    let step = prop_oneof![6 => -3..8i64, 3 => -60..40i64, 1 => -300..300i64];
    let when = prop_oneof![6 => Just(Some(true)), 1 => Just(Some(false)), 1 => Just(None)];
    let event = (
        0..ENTITIES,
        step,
        when,
        prop::option::of(double),
        prop::option::of(int),
        prop::option::of(text),
        prop::option::of(any::<bool>()),
    )
        .prop_map(|(slot, step, when, double, int, text, flag)| Event {
            slot,
            step,
            when,
            double,
            int,
            text,
            flag,
        });
    prop::collection::vec(event, 1..120)
}

/// Random windows of all kinds, sometimes all time.
pub(crate) fn shapes() -> impl Strategy<Value = Option<Shape>> {
    let sliding =
        (1..12i64, 1..9i64, 0..40i64).prop_map(|(width, tiles, lateness)| Shape { width, tiles, lateness, keep: None });
    prop::option::weighted(0.9, prop_oneof![2 => sliding, 1 => tumbling()])
}

/// Random windows of tumbling views.
pub(crate) fn tumbling() -> impl Strategy<Value = Shape> {
    (1..12i64, 0..100i64, 0..40i64).prop_map(|(width, more, lateness)| Shape {
        width,
        tiles: 1,
        lateness,
        keep: Some(width + more),
    })
}
