use assay_sdk::{Verdict, plugin};

#[plugin]
fn score(count: &mut u64) -> Verdict {
    *count += 1;
    Verdict::score(*count as f64)
}

fn main() {}
