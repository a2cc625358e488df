use assay_sdk::Input;

#[derive(Input)]
struct Payment(f64);

fn main() {}
