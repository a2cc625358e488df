//! The order in which partitions are polled: round robin over streams, whatever number of partitions each has, and within
//! a stream over its partitions.

use std::collections::HashMap;

/// Each stream's partitions as indexes, in the order of their turns: those first whose last turn is the longest ago.
/// `partitions` are the name of each one's stream and the number of its last turn, 0 for none.
pub(super) fn order_by_last_poll<'a>(partitions: impl Iterator<Item = (&'a str, u64)>) -> Vec<Vec<usize>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    // Per stream, the number of its last turn and its partitions, each with the number of its own.
    let mut streams: Vec<(u64, Vec<(u64, usize)>)> = Vec::new();
    for (index, (stream, last_poll)) in partitions.enumerate() {
        let place = *places.entry(stream).or_insert(streams.len());
        if place == streams.len() {
            streams.push((0, Vec::new()));
        }
        let (of_stream, partitions) = &mut streams[place];
        *of_stream = last_poll.max(*of_stream);
        partitions.push((last_poll, index));
    }
    streams.sort_by_key(|(last_poll, _)| *last_poll);
    let in_order = streams.into_iter().map(|(_, mut partitions)| {
        partitions.sort_unstable();
        partitions.into_iter().map(|(_, index)| index).collect()
    });
    in_order.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_with_many_partitions_takes_no_more_turns_than_others() {
        let streams = ["many", "few", "many", "many", "one", "few", "many"];
        let mut last_polls = [0_u64; 7];
        let (mut by_stream, mut by_partition) = (HashMap::new(), [0; 7]);
        for turn in 1..=120 {
            let order = order_by_last_poll(streams.iter().copied().zip(last_polls));
            let next = order[0][0];
            last_polls[next] = turn;
            *by_stream.entry(streams[next]).or_insert(0) += 1;
            by_partition[next] += 1;
        }
        assert_eq!(by_stream, HashMap::from([("many", 40), ("few", 40), ("one", 40)]));
        assert_eq!(by_partition, [10, 20, 10, 10, 40, 20, 10]);
    }
}
