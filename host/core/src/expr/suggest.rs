//! Suggests a known name for a mistyped one.

/// The known name with the smallest edit distance, if that is at most a third of the name's length (or 1, for shorter
/// names). Among equals the first one.
pub(super) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let max_distance = (name.chars().count() / 3).max(1);
    known
        .iter()
        .map(|candidate| (strsim::osa_distance(&name.to_lowercase(), &candidate.to_lowercase()), *candidate))
        .filter(|(distance, _)| *distance <= max_distance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn only_a_close_name_is_suggested() {
        let known = ["amount", "country", "device.os"];
        assert_eq!(nearest("amout", &known), Some("amount"));
        assert_eq!(nearest("Country", &known), Some("country"));
        assert_eq!(nearest("device.so", &known), Some("device.os"));
        assert_eq!(nearest("price", &known), None);
    }
}
