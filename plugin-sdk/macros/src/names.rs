//! Declared names: `tags = ["high-risk"]` becomes `mod tags { pub const HIGH_RISK: Tag = ...; }`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{format_ident, quote};
use syn::{LitStr, Visibility};

/// The most names of a list. A verdict's tags are the bits of one 64-bit word; the other lists have the same limit for
/// simplicity.
pub(crate) const MAX_NAMES: usize = 64;

/// Checks the declared names of a list.
pub(crate) fn check_names(list: &str, names: &[LitStr]) -> syn::Result<()> {
    for (index, name) in names.iter().enumerate() {
        let text = name.value();
        let begins_well = text.starts_with(|c: char| c.is_ascii_lowercase());
        let word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        if !begins_well || !text.split('-').all(word) || text.len() > 64 {
            let message = format!(
                "`{text}` cannot be one of the {list}: a name is lower-case words joined by `-`, such as `high-risk`, \
                 begins with a letter and has at most 64 characters"
            );
            return Err(syn::Error::new(name.span(), message));
        }
        if names[..index].iter().any(|earlier| earlier.value() == text) {
            return Err(syn::Error::new(name.span(), format!("`{text}` is twice in the {list}")));
        }
        if index == MAX_NAMES {
            return Err(syn::Error::new(
                name.span(),
                format!("a plugin may declare {MAX_NAMES} {list}, this is one more"),
            ));
        }
    }
    Ok(())
}

/// The module with a constant per name; empty if there are no names.
pub(crate) fn module(list: &str, kind: &str, names: &[LitStr], visibility: &Visibility) -> TokenStream {
    if names.is_empty() {
        return TokenStream::new();
    }
    let (module, kind) = (Ident::new(list, Span::call_site()), format_ident!("{kind}"));
    let constants: Vec<Ident> = names.iter().map(constant).collect();
    let docs = names.iter().map(|name| format!("`{}`", name.value()));
    let indexes = 0..names.len() as u32;
    let count = names.len();
    let module_doc = format!("The declared {list}.");
    quote! {
        #[doc = #module_doc]
        #[allow(dead_code, reason = "a name may be used through `ALL` alone")]
        #visibility mod #module {
            use ::assay_sdk::#kind;
            #(
                #[doc = #docs]
                pub const #constants: #kind = #kind::declared(&(#indexes, #names));
            )*
            /// All of them, in the order of their declaration.
            pub const ALL: [#kind; #count] = [#(#constants),*];
        }
    }
}

/// `HIGH_RISK` for `high-risk`. It has the span of the name, so that an editor finds the declaration.
fn constant(name: &LitStr) -> Ident {
    Ident::new(&name.value().to_ascii_uppercase().replace('-', "_"), name.span())
}
