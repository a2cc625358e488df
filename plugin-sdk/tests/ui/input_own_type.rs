use assay_sdk::Input;

struct Money(f64);

#[derive(Input)]
struct Payment {
    amount: Money,
}

fn main() {}
