use assay_sdk::Input;

#[derive(Input)]
struct Order {
    prices: Vec<f64>,
}

fn main() {}
