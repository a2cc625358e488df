use assay_sdk::{Input, Verdict, plugin};

#[derive(Input)]
struct Payment {
    amount: f64,
}

struct Config {
    factor: f64,
}

#[plugin]
fn score(config: &Config, payment: Payment) -> Verdict {
    Verdict::score(payment.amount * config.factor)
}

fn main() {}
