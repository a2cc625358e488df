use assay_sdk::Input;

#[derive(Input)]
struct Payment {
    amount: f64,
    count: Option<u32>,
}

fn main() {}
