use assay_sdk::{Input, Verdict, plugin};

#[derive(Input)]
struct Payment {
    amount: f64,
}

#[plugin(reasons = ["amount"])]
fn score(payment: Payment) -> Verdict {
    Verdict::score(payment.amount).tag(reasons::AMOUNT)
}

fn main() {}
