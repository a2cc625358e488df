//! The macros of assay-sdk: `#[derive(Input)]` and `#[plugin]`. assay-sdk re-exports and documents them.

mod arguments;
mod docs;
mod input;
mod names;
mod plugin;
mod signature;

use proc_macro::TokenStream;

/// Makes a struct the input of a plugin: each field is an input, its doc comment is the input's documentation.
///
/// Fields are `f64`, `i64`, `bool`, `&str`, `String`, `Timestamp`, or `Option` of one of these. An `Option` is an
/// input that rows may lack, and that a rule need not bind. A struct has at most one lifetime, the batch's: a `&str`
/// points into the batch and costs no allocation, a `String` is a copy.
///
/// A field's name is the input's name: a lower-case letter, then lower-case letters, digits and underscores.
#[proc_macro_derive(Input)]
pub fn derive_input(item: TokenStream) -> TokenStream {
    let item = syn::parse_macro_input!(item as syn::DeriveInput);
    input::expand(&item).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// Makes a function a plugin: `fn(config: &Config, state: &mut State, input: Input) -> Verdict`.
///
/// Config and state may be left out. The function stays as it is and can be called and tested; beside it the macro
/// puts a unit struct `Plugin` and, in Wasm, the exports that a host calls. The function may return
/// `Result<Verdict, E>` with an error that can be displayed: such an event is set aside with the error.
///
/// Arguments, all optional:
/// - `tags = ["high-risk"]`, `reasons = [..]`, `edges = [..]`, `attributes = [..]`: the names that verdicts may use,
///   at most 64 each. Each becomes a constant such as `tags::HIGH_RISK`, and `tags::ALL` has all of them in order.
/// - `state_version = 2`: the version of the state's layout, 1 if not given. Raise it when the state's type changes.
/// - `migrate = path`: a `fn(from_version: u32, state: &[u8]) -> Result<State, E>` that reads states of older versions.
///
/// Name and version of the plugin are the crate's, its documentation is the function's doc comment.
#[proc_macro_attribute]
pub fn plugin(arguments: TokenStream, item: TokenStream) -> TokenStream {
    let expanded = syn::parse(item.clone()).and_then(|function| plugin::expand(&syn::parse(arguments)?, &function));
    // The function is kept beside an error, so that the compiler does not also report items that only it uses as
    // unused.
    let with_item = |error: syn::Error| [item, error.into_compile_error().into()].into_iter().collect();
    expanded.map(TokenStream::from).unwrap_or_else(with_item)
}

/// The output of wit-bindgen for `wit/plugin.wit`, generated beforehand, so that authors need not compile wit-bindgen.
/// A test compares it with the current output. It is a macro because the code has `unsafe`, which is forbidden in the
/// crates of this workspace.
#[doc(hidden)]
#[proc_macro]
pub fn bindings(_: TokenStream) -> TokenStream {
    let parsed = include_str!("bindings.rs.in").parse::<TokenStream>();
    parsed.unwrap_or_else(|error| {
        let error = syn::Error::new(proc_macro2::Span::call_site(), error.to_string());
        error.into_compile_error().into()
    })
}

/// The static to which a panic writes its message, exported under the name that the host looks for. It is a macro
/// because the attribute is `unsafe` (no other export may have the name), which is forbidden in the crates of this
/// workspace.
#[doc(hidden)]
#[proc_macro]
pub fn export_panic_message(_: TokenStream) -> TokenStream {
    let exported = quote::quote! {
        #[allow(non_upper_case_globals, reason = "the name is that of the module's export")]
        #[unsafe(no_mangle)]
        static assay_panic_message: crate::panic_message::PanicMessage = crate::panic_message::PanicMessage::new();
    };
    exported.into()
}
