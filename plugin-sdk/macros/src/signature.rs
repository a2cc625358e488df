//! Parses the signature of a plugin's function, and finds the parameters for config, state and input.

use proc_macro2::{Ident, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::spanned::Spanned;
use syn::{FnArg, ItemFn, ReturnType, Type};

const EXPECTED: &str = "a plugin is a `fn(config: &Config, state: &mut State, input: Input) -> Verdict`; \
                        config and state may be left out";

/// The types of a plugin's function, and the arguments of a call.
pub(crate) struct Signature {
    /// The type of the parameter by `&`, if there is one.
    pub(crate) config: Option<TokenStream>,
    /// The type of the parameter by `&mut`, if there is one.
    pub(crate) state: Option<TokenStream>,
    /// The type of the parameter by value, with `'static` for its lifetime.
    pub(crate) input: TokenStream,
    /// The names of the arguments, in the order of the parameters.
    pub(crate) call: Vec<TokenStream>,
}

impl Signature {
    pub(crate) fn parse(function: &ItemFn) -> syn::Result<Self> {
        check_kind(function)?;
        let (mut config, mut state, mut input) = (None, None, None);
        let mut call = Vec::new();
        for parameter in &function.sig.inputs {
            let FnArg::Typed(parameter) = parameter else {
                return Err(syn::Error::new(parameter.span(), EXPECTED));
            };
            let (role, place, ty) = match &*parameter.ty {
                Type::Reference(to) if to.mutability.is_some() => (quote!(state), &mut state, &*to.elem),
                Type::Reference(to) => (quote!(config), &mut config, &*to.elem),
                by_value => (quote!(input), &mut input, by_value),
            };
            if place.replace(with_static_lifetimes(ty.to_token_stream())).is_some() {
                let message = format!("a second {role}: {EXPECTED}");
                return Err(syn::Error::new(parameter.span(), message));
            }
            call.push(role);
        }
        let input = input.ok_or_else(|| {
            let message = format!("the function takes no input, which is a parameter by value: {EXPECTED}");
            syn::Error::new(function.sig.paren_token.span.join(), message)
        })?;
        Ok(Self { config, state, input, call })
    }
}

fn check_kind(function: &ItemFn) -> syn::Result<()> {
    let signature = &function.sig;
    let wrong = |span, what: &str| Err(syn::Error::new(span, format!("a plugin's function cannot be {what}")));
    if let Some(token) = &signature.asyncness {
        return wrong(token.span(), "async: it has nothing to wait for");
    }
    if let syn::Safety::Unsafe(token) = &signature.safety {
        return wrong(token.span(), "unsafe");
    }
    if let Some(parameter) = signature.generics.type_params().next() {
        return wrong(parameter.span(), "generic: a host calls it, and knows no types");
    }
    if matches!(signature.output, ReturnType::Default) {
        let message = format!("the function returns nothing: {EXPECTED}");
        return Err(syn::Error::new(signature.ident.span(), message));
    }
    Ok(())
}

/// Replaces every lifetime by `'static`, so that a type can be named outside of the function.
pub(crate) fn with_static_lifetimes(tokens: TokenStream) -> TokenStream {
    let mut after_quote = false;
    let replace = |token: TokenTree| {
        let was_after_quote = std::mem::replace(&mut after_quote, false);
        match token {
            TokenTree::Ident(lifetime) if was_after_quote => Ident::new("static", lifetime.span()).into(),
            TokenTree::Punct(punct) => {
                after_quote = punct.as_char() == '\'';
                punct.into()
            }
            TokenTree::Group(group) => {
                let inner = with_static_lifetimes(group.stream());
                let mut replaced = proc_macro2::Group::new(group.delimiter(), inner);
                replaced.set_span(group.span());
                replaced.into()
            }
            other => other,
        }
    };
    tokens.into_iter().map(replace).collect()
}
