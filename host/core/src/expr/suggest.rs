//! The known name that a mistyped one was probably meant to be.

/// The name with the smallest edit distance, if that is at most a third of the name's length (and at least 1);
/// of equals the first.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(1);
    known
        .iter()
        .map(|candidate| (strsim::osa_distance(&name.to_lowercase(), &candidate.to_lowercase()), *candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_close_or_none() {
        let known = ["amount", "country", "device.os"];
        assert_eq!(nearest("amout", &known), Some("amount"));
        assert_eq!(nearest("Country", &known), Some("country"));
        assert_eq!(nearest("device.so", &known), Some("device.os"));
        assert_eq!(nearest("price", &known), None);
    }
}
