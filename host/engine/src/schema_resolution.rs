//! Events that were written in an earlier schema of their stream, as events of the schema of now.

use assay_core::failure_code::FailureCode;
use assay_core::schema::{DecodeError, History, Resolver, Written};

use crate::panics::{EVENT_PANICKED, Panicked, catch};
use crate::ports::log::{Records, Refused};

/// Events that have defaults now may be far larger than they were: beyond so many bytes the rest is left for the next
/// time.
const MAX_RESOLVED_BYTES: usize = 64 << 20;

/// Turns events into such of the newest schema of a history, at their old offsets. An event that has no place in it is
/// refused. What was written in a schema that came after those of the history is left out, with all behind it.
pub fn resolve_to_newest(history: &History, blocks: Vec<Records>) -> Vec<Records> {
    let mut out = Vec::with_capacity(blocks.len());
    let mut bytes = 0;
    for block in blocks {
        match history.written(block.schema) {
            Written::Now => out.push(block),
            Written::Later => break,
            Written::Earlier(resolver) => {
                let one = |record: &[u8], out: &mut Vec<u8>| resolve_one(resolver, block.schema, record, out);
                let resolved = resolve(one, history.newest(), &block, MAX_RESOLVED_BYTES - bytes);
                bytes += resolved.data.len();
                let is_whole = resolved.len() == block.len();
                out.push(resolved);
                if !is_whole || bytes >= MAX_RESOLVED_BYTES {
                    break;
                }
            }
        }
    }
    out
}

/// At least one record of a block, and no more once there are so many bytes.
fn resolve(
    one: impl Fn(&[u8], &mut Vec<u8>) -> Result<(), Refused>,
    schema: u32,
    block: &Records,
    max_bytes: usize,
) -> Records {
    let (first, appended_at, appended_later) = (block.first, block.appended_at, block.appended_later.clone());
    let mut out = Records { first, appended_at, appended_later, schema, ..Records::default() };
    let mut refused = block.refused.iter().peekable();
    for (index, (_, record)) in block.iter().enumerate() {
        if index > 0 && out.data.len() >= max_bytes {
            break;
        }
        // Blocks are cut far below what a u32 counts.
        let place = index as u32;
        if let Some((_, why)) = refused.next_if(|(at, _)| *at == place) {
            out.refused.push((place, why.clone()));
            out.data.extend_from_slice(record);
        } else {
            let before = out.data.len();
            // An event whose text makes this program panic is refused like any other that has no place in the schema.
            let resolved = catch(|| one(record, &mut out.data)).unwrap_or_else(|panicked| Err(poison(&panicked)));
            if let Err(refused) = resolved {
                out.refused.push((place, refused));
                out.data.truncate(before);
                out.data.extend_from_slice(record);
            }
        }
        out.end_record();
    }
    out
}

fn resolve_one(resolver: &Resolver, schema: u32, record: &[u8], out: &mut Vec<u8>) -> Result<(), Refused> {
    resolver.resolve(record, out).map_err(|error| misfit(schema, &error))
}

fn poison(panicked: &Panicked) -> Refused {
    Refused { code: EVENT_PANICKED, message: panicked.to_string() }
}

fn misfit(schema: u32, error: &DecodeError) -> Refused {
    let message = format!("as a record of the stream's schema number {schema}: {error}");
    Refused { code: FailureCode::EventMalformed.as_str(), message }
}

#[cfg(test)]
mod tests {
    use assay_core::names::Offset;
    use assay_core::schema::{Encoder, Schema, to_json};
    use serde_json::{Value, json};

    use super::*;

    fn schemas() -> [Schema; 3] {
        let of =
            |fields: Value| Schema::parse_value(&json!({"type": "record", "name": "E", "fields": fields})).unwrap();
        let level = |symbols: Value| json!({"name": "l", "type": {"type": "enum", "name": "L", "symbols": symbols}});
        [
            of(json!([level(json!(["low", "high"])), {"name": "n", "type": "int"}])),
            of(json!([level(json!(["low"])), {"name": "n", "type": "int"}])),
            of(json!([{"name": "n", "type": "double"}, level(json!(["low"])),
                {"name": "pad", "type": "string", "default": "x".repeat(1 << 19)}])),
        ]
    }

    fn block(schema: u32, first: u64, events: &[Value]) -> Records {
        let mut encoder = Encoder::new(&schemas()[schema as usize]);
        let mut block = Records { first: Offset(first), schema, ..Records::default() };
        for event in events {
            encoder.encode_value(event, &mut block.data).unwrap();
            block.end_record();
        }
        block
    }

    fn history(newest: usize) -> History {
        let schemas = schemas();
        History::new(&schemas[..newest], &schemas[newest]).unwrap()
    }

    #[test]
    fn each_event_is_read_by_the_schema_of_its_time() {
        let low = json!({"l": "low", "n": 1});
        let blocks = vec![
            block(0, 10, &[low.clone(), json!({"l": "high", "n": 2}), low.clone()]),
            block(1, 13, std::slice::from_ref(&low)),
            block(2, 14, &[json!({"l": "low", "n": 3, "pad": ""})]),
        ];
        let read = resolve_to_newest(&history(2), blocks.clone());
        let newest = &schemas()[2];
        assert_eq!(to_json(newest, read[0].get(0).unwrap()).unwrap()["n"], 1.0);
        assert_eq!(read[0].refused[0].0, 1);
        assert_eq!(
            read[0].refused[0].1.message,
            "as a record of the stream's schema number 0: malformed Avro at byte 1 (field `l`): the enum has no symbol 1"
        );
        assert_eq!(to_json(newest, read[2].get(0).unwrap()).unwrap(), json!({"l": "low", "n": 3.0, "pad": ""}));
        let firsts: Vec<u64> = read.iter().map(|block| block.first.0).collect();
        assert_eq!((firsts, read[2].next()), (vec![10, 13, 14], Offset(15)));
        // Who knows the first two schemas only has to wait for the third.
        assert_eq!(resolve_to_newest(&history(1), blocks.clone()).last().map(Records::next), Some(Offset(14)));
        assert_eq!(resolve_to_newest(&history(0), blocks).last().map(Records::next), Some(Offset(13)));
    }

    #[test]
    fn an_event_that_panics_is_refused_alone() {
        let event = json!({"l": "low", "n": 1});
        let block = block(0, 10, &[event.clone(), event.clone(), event]);
        let seen = std::cell::Cell::new(0);
        let one = |record: &[u8], out: &mut Vec<u8>| {
            out.extend_from_slice(b"half");
            seen.set(seen.get() + 1);
            assert!(seen.get() != 2, "this one");
            out.extend_from_slice(record);
            Ok(())
        };
        let resolved = resolve(one, 2, &block, MAX_RESOLVED_BYTES);
        assert_eq!((resolved.len(), resolved.next()), (3, Offset(13)));
        assert_eq!(resolved.get(1), block.get(1), "its bytes are as they came");
        assert_eq!(resolved.get(2).unwrap().len(), 4 + block.get(2).unwrap().len());
        let [(1, refused)] = &resolved.refused[..] else { panic!("{:?}", resolved.refused) };
        assert!(refused.code == EVENT_PANICKED && refused.message.contains("this one"), "{refused:?}");
    }

    #[test]
    fn what_grows_too_large_is_read_in_parts() {
        let events = vec![json!({"l": "low", "n": 1}); 200];
        let blocks = [block(1, 0, &events), block(1, 200, &events)];
        let (mut next, mut rounds) = (0, 0);
        while next < 400 {
            let left = blocks.iter().filter(|block| block.next().0 > next).map(|block| {
                let mut rest = Records { first: Offset(block.first.0.max(next)), schema: 1, ..Records::default() };
                block.iter().filter(|(offset, _)| offset.0 >= next).for_each(|(_, record)| rest.push(record));
                rest
            });
            let read = resolve_to_newest(&history(2), left.collect());
            assert!(read.iter().map(|block| block.data.len()).sum::<usize>() < 66 << 20);
            let end = read.last().map_or(next, |block| block.next().0);
            assert!(end > next, "it goes on");
            (next, rounds) = (end, rounds + 1);
        }
        assert!(rounds > 2);
    }
}
