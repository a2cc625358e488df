use assay_sdk::Input;

#[derive(Input)]
struct Payment {
    #[allow(non_snake_case)]
    Amount: f64,
}

fn main() {}
