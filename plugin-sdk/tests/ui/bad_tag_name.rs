use assay_sdk::{Input, Verdict, plugin};

#[derive(Input)]
struct Payment {
    amount: f64,
}

#[plugin(tags = ["High Risk"])]
fn score(payment: Payment) -> Verdict {
    Verdict::score(payment.amount)
}

fn main() {}
