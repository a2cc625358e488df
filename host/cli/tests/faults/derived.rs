//! The stream that is derived by merchant has counted each payment of the log once. In which order is its own matter:
//! payments of a merchant come out of all partitions.

use std::collections::BTreeMap;

use crate::ask::{escaped, for_each, listing};
use crate::members::Members;
use crate::truth::{Truth, verdicts};

/// Compares counts, greatest amounts and the scores of all merchants.
pub(crate) fn compare(members: &Members, truth: &Truth) {
    let mut expected: BTreeMap<&str, (u64, f64)> = BTreeMap::new();
    for event in truth.events.values() {
        let (payments, most) = expected.entry(event["merchant"].as_str().unwrap()).or_default();
        *payments += 1;
        *most = most.max(event["amount"].as_f64().unwrap());
    }
    let up = members.up();
    let merchants: Vec<(&str, (u64, f64))> = expected.into_iter().collect();
    for_each(&merchants, |index, (merchant, (payments, most))| {
        let server = &up[index % up.len()];
        let values = server.read(&format!("/v1/views/merchant_sales/values?key={}", escaped(merchant)));
        let measures = (values["measures"]["payments"].as_u64(), values["measures"]["most"].as_f64());
        assert_eq!(measures, (Some(*payments), Some(*most)), "values of {merchant}: {values}");
        let path = format!("/v1/entities/payments_by_merchant/{}/verdicts?limit=1000", escaped(merchant));
        let judged = listing(server, &path);
        let mut scores: Vec<f64> = judged.iter().filter_map(|item| verdicts(item)[0]["score"].as_f64()).collect();
        scores.sort_unstable_by(f64::total_cmp);
        assert!(scores.into_iter().eq((1..=*payments).map(|count| count as f64)), "counts of {merchant}");
    });
    println!("{} payments by {} merchants, each counted once", truth.events.len(), merchants.len());
}
