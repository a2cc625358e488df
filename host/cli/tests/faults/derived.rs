//! The stream that is derived by category has counted each payment of the log once. In which order is its own matter:
//! payments of a category come out of all partitions.

use std::collections::BTreeMap;

use crate::ask::{escaped, for_each, listing};
use crate::members::Members;
use crate::truth::{Truth, verdicts};

/// Compares counts, greatest amounts and the scores of all categories.
pub(crate) fn compare(members: &Members, truth: &Truth) {
    let mut expected: BTreeMap<&str, (u64, f64)> = BTreeMap::new();
    for event in truth.events.values() {
        let (payments, most) = expected.entry(event["category"].as_str().unwrap()).or_default();
        *payments += 1;
        *most = most.max(event["amount"].as_f64().unwrap());
    }
    let up = members.up();
    let categories: Vec<(&str, (u64, f64))> = expected.into_iter().collect();
    for_each(&categories, |index, (category, (payments, most))| {
        let server = &up[index % up.len()];
        let values = server.read(&format!("/v1/views/category_sales/values?key={}", escaped(category)));
        let measures = (values["measures"]["payments"].as_u64(), values["measures"]["most"].as_f64());
        assert_eq!(measures, (Some(*payments), Some(*most)), "values of {category}: {values}");
        let path = format!("/v1/entities/payments_by_category/{}/verdicts?limit=1000", escaped(category));
        let judged = listing(server, &path);
        let mut scores: Vec<f64> = judged.iter().filter_map(|item| verdicts(item)[0]["score"].as_f64()).collect();
        scores.sort_unstable_by(f64::total_cmp);
        assert!(scores.into_iter().eq((1..=*payments).map(|count| count as f64)), "counts of {category}");
    });
    println!("{} payments by {} categories, each counted once", truth.events.len(), categories.len());
}
