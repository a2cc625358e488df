use assay_sdk::{Input, plugin};

#[derive(Input)]
struct Payment {
    amount: f64,
}

#[plugin]
fn score(payment: Payment) -> f64 {
    payment.amount
}

fn main() {}
