use assay_sdk::{Input, Verdict, plugin};

#[derive(Input)]
struct Payment {
    amount: f64,
}

#[plugin(tags = ["high-risk"])]
fn score(payment: Payment) -> Verdict {
    Verdict::score(payment.amount).tag(tags::HIGH_RISC)
}

fn main() {}
