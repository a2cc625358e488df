use assay_sdk::Input;

#[derive(Input)]
struct Payment {
    amount: f32,
}

fn main() {}
