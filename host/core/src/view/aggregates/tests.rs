//! The properties of all aggregates of the table, over all types of arguments that they take.

use proptest::prelude::*;

use super::*;

const PAGE: &str = include_str!("../../../../../docs/views.md");

/// An event that counts for a measure: its time, and its value as a word or a text.
#[derive(Clone, Debug)]
struct Counted {
    time: i64,
    word: u64,
    text: String,
}

/// An aggregate over an argument of a type.
struct Case {
    kernel: AggregateKernel,
    argument: Option<Type>,
    result: Type,
}

fn cases() -> impl Iterator<Item = (Aggregate, Case)> {
    let scalars = [Type::Bool, Type::Int, Type::Double, Type::Text, Type::Timestamp, Type::Duration];
    let arguments: Vec<_> = [None].into_iter().chain(scalars.map(Some)).collect();
    Aggregate::ALL.iter().flat_map(move |aggregate| {
        let arguments = arguments.clone();
        arguments.into_iter().filter_map(move |argument| {
            let (kernel, result) = aggregate.select_kernel(argument.as_ref()).ok()?;
            Some((*aggregate, Case { kernel, argument, result }))
        })
    })
}

impl Case {
    /// The cell of a tile with some events, in the order in which they came.
    fn fold(&self, events: &[Counted], texts: &mut TextArena) -> Vec<u64> {
        let mut cell = self.kernel.identity().to_vec();
        for Counted { time, word, text } in events {
            let double = (*word as i64 as f64 / 7.0).to_bits();
            match &self.argument {
                Some(Type::Text) => self.kernel.add_text(&mut cell, text, *time, texts),
                Some(Type::Double) => self.kernel.add(&mut cell, double, *time),
                Some(Type::Bool) => self.kernel.add(&mut cell, word & 1, *time),
                _ => self.kernel.add(&mut cell, *word, *time),
            }
        }
        cell
    }

    /// The result as a text that is equal for equal bits.
    fn result(&self, cell: &[u64], texts: &TextArena) -> Option<String> {
        let word = self.kernel.result(cell)?;
        Some(match self.result {
            Type::Text => texts.get(word, &mut [0; 8]).to_owned(),
            _ => word.to_string(),
        })
    }

    fn merge(&self, older: &[u64], newer: &[u64]) -> Vec<u64> {
        let mut merged = older.to_vec();
        self.kernel.merge(&mut merged, newer);
        merged
    }

    fn assert_equal(&self, found: &[u64], expected: &[u64], texts: &TextArena) {
        let [found, expected] = [found, expected].map(|cell| self.result(cell, texts));
        let double = |text: &Option<String>| text.as_ref().map(|bits| f64::from_bits(bits.parse().unwrap()));
        if self.kernel.is_exact() {
            assert_eq!(found, expected, "{:?}", self.kernel);
        } else if let (Some(found), Some(expected)) = (double(&found), double(&expected)) {
            let is_near = (found - expected).abs() <= 1e-9 * expected.abs().max(1.0);
            assert!(is_near, "{:?}: {found} for {expected}", self.kernel);
        } else {
            assert_eq!(found, expected, "{:?}", self.kernel);
        }
    }
}

/// Events in tiles of 100 ms: the tiles in ascending order, the events of a tile in any order.
fn tiles() -> impl Strategy<Value = Vec<Vec<Counted>>> {
    let event = (0..100i64, -1000..1000i64, "[a-c]{0,9}");
    prop::collection::vec(prop::collection::vec(event, 0..6), 1..8).prop_map(|tiles| {
        let numbered = tiles.into_iter().enumerate();
        let in_tile = |tile: usize, (time, word, text): (i64, i64, String)| Counted {
            time: tile as i64 * 100 + time,
            word: word as u64,
            text,
        };
        numbered.map(|(tile, events)| events.into_iter().map(|event| in_tile(tile, event)).collect()).collect()
    })
}

proptest! {
    #[test]
    fn results_do_not_depend_on_the_grouping_of_merges(tiles in tiles(), at in any::<prop::sample::Index>()) {
        for (_, case) in cases() {
            let mut texts = TextArena::default();
            let cells: Vec<_> = tiles.iter().map(|events| case.fold(events, &mut texts)).collect();
            let forward = cells.iter().cloned().reduce(|older, newer| case.merge(&older, &newer)).unwrap();
            let backward = cells.iter().rev().cloned().reduce(|newer, older| case.merge(&older, &newer)).unwrap();
            let (earlier, later) = cells.split_at(at.index(cells.len()));
            let identity = case.kernel.identity().to_vec();
            let halves = [earlier, later]
                .map(|half| half.iter().fold(identity.clone(), |older, newer| case.merge(&older, newer)));
            let whole = case.fold(&tiles.concat(), &mut texts);
            for merged in [&forward, &backward, &case.merge(&halves[0], &halves[1])] {
                case.assert_equal(merged, &whole, &texts);
            }
            let [a, b, c] = [&cells[0], &halves[0], &cells[cells.len() - 1]];
            let three = case.kernel.result_of_three(a, b, c);
            prop_assert_eq!(three, case.kernel.result(&case.merge(a, &case.merge(b, c))), "{:?}", case.kernel);
        }
    }

    #[test]
    fn merging_with_no_events_changes_nothing(tiles in tiles()) {
        for (_, case) in cases() {
            let mut texts = TextArena::default();
            let cell = case.fold(&tiles[0], &mut texts);
            let identity = case.kernel.identity();
            prop_assert_eq!(&case.merge(&cell, identity), &cell, "{:?}", case.kernel);
            prop_assert_eq!(&case.merge(identity, &cell), &cell, "{:?}", case.kernel);
        }
    }

    #[test]
    fn cells_are_loaded_as_they_were_saved(tiles in tiles()) {
        for (_, case) in cases() {
            let mut texts = TextArena::default();
            let cell = case.fold(&tiles[0], &mut texts);
            let mut bytes = Vec::new();
            case.kernel.save(&cell, &SaveScope { begin: 50, ty: &case.result, texts: &texts }, &mut bytes);
            let bounds = TileBounds { begin: 50, earliest: 0, latest: 99 };
            let (mut loaded, mut reader) = (case.kernel.identity().to_vec(), WindowReader::new(&bytes));
            let mut scope = LoadScope { bounds, ty: &case.result, texts: &mut texts };
            prop_assert_eq!(case.kernel.load(&mut loaded, &mut scope, &mut reader), Ok(()));
            prop_assert_eq!(reader.end(), Ok(()));
            prop_assert_eq!(case.result(&loaded, &texts), case.result(&cell, &texts), "{:?}", case.kernel);
            let mut again = Vec::new();
            case.kernel.save(&loaded, &SaveScope { begin: 50, ty: &case.result, texts: &texts }, &mut again);
            prop_assert_eq!(again, bytes, "{:?}", case.kernel);
        }
    }
}

#[test]
fn results_of_no_events_are_missing_as_declared() {
    for (_, case) in cases() {
        let result = case.kernel.result(case.kernel.identity());
        assert_eq!(result.is_none(), case.kernel.can_be_missing(), "{:?}", case.kernel);
        assert!(result.is_none_or(|result| result == 0), "{:?}", case.kernel);
    }
}

#[test]
fn names_are_unique_and_are_found() {
    for aggregate in Aggregate::ALL {
        assert_eq!(Aggregate::from_name(aggregate.name()), Some(*aggregate));
        for alias in aggregate.spec().aliases {
            assert_eq!((Aggregate::from_name(alias), Aggregate::nearest(alias)), (None, Some(*aggregate)), "{alias}");
        }
    }
}

#[test]
fn the_page_on_views_has_the_row_of_each_aggregate() {
    for aggregate in Aggregate::ALL {
        let cases = cases().filter(|(other, _)| other == aggregate);
        let mut bytes: Vec<_> = cases.map(|(_, case)| size_of_val(case.kernel.identity())).collect();
        bytes.sort_unstable();
        bytes.dedup();
        let bytes: Vec<_> = bytes.iter().map(usize::to_string).collect();
        let row = format!("| {} | {} |", aggregate.spec().docs.join(" | "), bytes.join(" or "));
        assert!(PAGE.lines().any(|line| line == row), "docs/views.md lacks the row\n{row}");
    }
}

fn result_of(kernel: AggregateKernel, words: &[u64]) -> Option<u64> {
    let mut cell = kernel.identity().to_vec();
    words.iter().for_each(|word| kernel.add(&mut cell, *word, 0));
    kernel.result(&cell)
}

#[test]
fn sums_of_integers_saturate() {
    let words = |values: &[i64]| values.iter().map(|value| *value as u64).collect::<Vec<_>>();
    assert_eq!(result_of(AggregateKernel::SumInt, &words(&[i64::MAX, 1])), Some(i64::MAX as u64));
    assert_eq!(result_of(AggregateKernel::SumInt, &words(&[i64::MIN, -1])), Some(i64::MIN as u64));
    assert_eq!(result_of(AggregateKernel::MinInt, &words(&[3, -4, 9])), Some(-4i64 as u64));
    assert_eq!(result_of(AggregateKernel::MaxInt, &words(&[i64::MIN])), Some(i64::MIN as u64));
}

#[test]
fn doubles_keep_the_sign_of_zero_and_have_one_nan() {
    let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
    for order in [[0.0, -0.0], [-0.0, 0.0]] {
        assert_eq!(result_of(AggregateKernel::MinDouble, &bits(&order)), Some((-0.0f64).to_bits()));
        assert_eq!(result_of(AggregateKernel::MaxDouble, &bits(&order)), Some(0));
    }
    let infinities = bits(&[f64::INFINITY, f64::NEG_INFINITY]);
    assert_eq!(result_of(AggregateKernel::SumDouble, &infinities), Some(f64::NAN.to_bits()));
    assert_eq!(result_of(AggregateKernel::AverageDouble, &infinities), Some(f64::NAN.to_bits()));
}

#[test]
fn of_equal_times_the_first_is_the_earlier_one_and_the_last_the_later_one() {
    for (kernel, expected) in [(AggregateKernel::FirstWord, 1), (AggregateKernel::LastWord, 4)] {
        let mut cell = kernel.identity().to_vec();
        for (word, time) in [(1, 5), (2, 7), (3, 6), (4, 7), (5, 5)] {
            kernel.add(&mut cell, word, time);
        }
        assert_eq!(kernel.result(&cell), Some(expected), "{kernel:?}");
    }
}
