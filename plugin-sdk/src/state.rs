//! The encoding of states of entities. The host stores them as opaque bytes.
//!
//! The encoding is postcard. It is compact (varints, no field names), because there may be millions of entities. It is
//! specified and stable within 1.x, and it depends only on the value. For that a state must use `BTreeMap` and
//! `BTreeSet`, because a `HashMap` iterates in an arbitrary order.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::bindings::Blobs;

/// The state of a plugin without state.
#[derive(Clone, Copy, Debug, Default, Serialize, serde::Deserialize)]
pub struct NoState;

/// Decodes a state, for `migrate`, which knows the layout of older versions.
///
/// # Errors
/// The bytes are no state of this type.
pub fn decode<S: DeserializeOwned>(bytes: &[u8]) -> Result<S, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((state, [])) => Ok(state),
        Ok((_, rest)) => Err(format!("a state of {} bytes has {} bytes too many", bytes.len(), rest.len())),
        Err(error) => Err(format!("a state of {} bytes cannot be decoded: {error}", bytes.len())),
    }
}

/// Decodes the states of a batch; `S::default()` for an entity without state.
pub(crate) fn decode_all<S: DeserializeOwned + Default>(blobs: &Blobs) -> Result<Vec<S>, String> {
    let mut states = Vec::with_capacity(blobs.ends.len());
    for bytes in iter(blobs) {
        let bytes = bytes?;
        states.push(if bytes.is_empty() { S::default() } else { decode(bytes)? });
    }
    Ok(states)
}

/// Encodes the states of a batch to one buffer.
pub(crate) fn encode_all<S: Serialize>(states: &[S], size_hint: usize) -> Result<Blobs, String> {
    let mut blobs = Blobs { ends: Vec::with_capacity(states.len()), data: Vec::with_capacity(size_hint) };
    for state in states {
        let data = std::mem::take(&mut blobs.data);
        blobs.data = postcard::to_extend(state, data).map_err(|error| format!("a state cannot be encoded: {error}"))?;
        let end = u32::try_from(blobs.data.len()).map_err(|_| "the states of a batch pass 4 GiB".to_owned())?;
        blobs.ends.push(end);
    }
    Ok(blobs)
}

/// Iterates over the byte strings of `blobs`.
pub(crate) fn iter(blobs: &Blobs) -> impl Iterator<Item = Result<&[u8], String>> {
    let mut start = 0;
    blobs.ends.iter().map(move |&end| {
        let range = start as usize..end as usize;
        start = end;
        let found = blobs.data.get(range.clone());
        found.ok_or_else(|| format!("a state lies at bytes {range:?} of {}", blobs.data.len()))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn states_are_decoded_as_encoded_and_an_empty_one_is_the_default() {
        let states = vec![(7_i64, "a".to_owned()), (-1, String::new())];
        let mut blobs = encode_all(&states, 0).unwrap();
        blobs.ends.push(blobs.data.len() as u32);
        let decoded: Vec<(i64, String)> = decode_all(&blobs).unwrap();
        assert_eq!(decoded, [states[0].clone(), states[1].clone(), Default::default()]);
    }

    #[test]
    fn bytes_of_another_layout_are_refused() {
        let blobs = encode_all(&[(1_u8, 2_u8)], 0).unwrap();
        assert_eq!(decode::<u8>(&blobs.data).unwrap_err(), "a state of 2 bytes has 1 bytes too many");
        assert!(decode::<(u8, u8, u8)>(&blobs.data).is_err());
        let lying = Blobs { ends: vec![3, 1], data: vec![0; 3] };
        assert!(decode_all::<(u8, u8, u8)>(&lying).is_err());
    }
}
