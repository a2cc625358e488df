//! Expands `#[plugin]` to the unchanged function, the constants of its names, a unit struct `Plugin`, and the exports.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{ItemFn, LitStr};

use crate::arguments::Arguments;
use crate::signature::Signature;
use crate::{docs, names};

pub(crate) fn expand(arguments: &Arguments, function: &ItemFn) -> syn::Result<TokenStream> {
    let signature = Signature::parse(function)?;
    check_state(arguments, &signature)?;
    let visibility = &function.vis;
    let modules = lists(arguments).map(|(list, kind, names)| names::module(list, kind, names, visibility));
    let implementation = implementation(arguments, function, &signature);
    let doc = format!("The plugin made of [`{}`].", function.sig.ident);
    // The loop over a batch is in another crate. Without `#[inline]` the function would not be inlined into it, and
    // each verdict would be copied through memory.
    let is_inline = function.attrs.iter().any(|attribute| attribute.path().is_ident("inline"));
    let inline = (!is_inline).then(|| quote!(#[inline]));
    Ok(quote! {
        #inline
        #function

        #(#modules)*

        #[doc = #doc]
        #[derive(Clone, Copy, Debug)]
        #[allow(dead_code, reason = "outside of Wasm only tests use it")]
        #visibility struct Plugin;

        const _: () = {
            #implementation
        };

        // Only Wasm needs these exports, and linkers for ELF refuse their names.
        #[cfg(target_arch = "wasm32")]
        ::assay_sdk::bindings::export_plugin!(Plugin with_types_in ::assay_sdk::bindings);
    })
}

fn lists(arguments: &Arguments) -> [(&'static str, &'static str, &[LitStr]); 4] {
    [
        ("tags", "Tag", &arguments.tags),
        ("reasons", "Reason", &arguments.reasons),
        ("edges", "Edge", &arguments.edges),
        ("attributes", "Attribute", &arguments.attributes),
    ]
}

fn check_state(arguments: &Arguments, signature: &Signature) -> syn::Result<()> {
    let message = "this is for a plugin with state, but the function has no parameter `state: &mut State`";
    match (&signature.state, &arguments.state_version, &arguments.migrate) {
        (None, Some(version), _) => Err(syn::Error::new(version.span(), message)),
        (None, None, Some(path)) => Err(syn::Error::new(path.span(), message)),
        _ => Ok(()),
    }
}

fn implementation(arguments: &Arguments, function: &ItemFn, signature: &Signature) -> TokenStream {
    let Signature { config, state, input, call } = signature;
    let name = &function.sig.ident;
    let about = about(arguments, function, signature);
    let migrate = migrate(arguments);
    let config = config.clone().unwrap_or_else(|| quote!(::assay_sdk::NoConfig));
    let state = state.clone().unwrap_or_else(|| quote!(::assay_sdk::NoState));
    // It has the span of the return type, so that an error about the type points there.
    let outcome = quote_spanned!(function.sig.output.span()=> ::assay_sdk::Outcome::verdict(#name(#(#call),*)));
    quote! {
        ::std::thread_local! {
            static CONFIG: ::std::cell::RefCell<::std::option::Option<#config>> =
                const { ::std::cell::RefCell::new(::std::option::Option::None) };
        }

        impl ::assay_sdk::Scoring for Plugin {
            type Config = #config;
            type State = #state;
            type Input = #input;
            const ABOUT: ::assay_sdk::About = #about;

            #[inline(always)]
            #[allow(unused_variables, reason = "config and state are there only if the function takes them")]
            fn score(
                config: &Self::Config,
                state: &mut Self::State,
                input: <Self::Input as ::assay_sdk::Input>::Row<'_>,
            ) -> ::std::result::Result<::assay_sdk::Verdict, ::std::string::String> {
                #outcome
            }

            fn migrate(
                from_version: u32,
                state: &[u8],
            ) -> ::std::result::Result<Self::State, ::std::string::String> {
                #migrate
            }

            fn slot() -> &'static ::std::thread::LocalKey<::std::cell::RefCell<::std::option::Option<Self::Config>>> {
                &CONFIG
            }
        }
    }
}

fn about(arguments: &Arguments, function: &ItemFn, signature: &Signature) -> TokenStream {
    let doc = docs::join_doc_comments(&function.attrs);
    let Arguments { tags, reasons, edges, attributes, state_version, .. } = arguments;
    let state_version = match (&signature.state, state_version) {
        (None, _) => quote!(::std::option::Option::None),
        (Some(_), None) => quote!(::std::option::Option::Some(1)),
        (Some(_), Some(version)) => quote!(::std::option::Option::Some(#version)),
    };
    quote! {
        ::assay_sdk::About {
            name: ::std::env!("CARGO_PKG_NAME"),
            version: ::std::env!("CARGO_PKG_VERSION"),
            doc: #doc,
            tags: &[#(#tags),*],
            reasons: &[#(#reasons),*],
            edges: &[#(#edges),*],
            attributes: &[#(#attributes),*],
            state_version: #state_version,
            annotations: &[
                ("license", ::std::env!("CARGO_PKG_LICENSE")),
                ("homepage", ::std::env!("CARGO_PKG_HOMEPAGE")),
                ("repository", ::std::env!("CARGO_PKG_REPOSITORY")),
            ],
        }
    }
}

fn migrate(arguments: &Arguments) -> TokenStream {
    match &arguments.migrate {
        Some(path) => quote! {
            #path(from_version, state).map_err(|error| ::std::string::ToString::to_string(&error))
        },
        None => quote! {
            let _ = state;
            ::std::result::Result::Err(::std::format!(
                "states of version {from_version} cannot be read: the plugin has no `migrate`",
            ))
        },
    }
}
