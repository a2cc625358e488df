//! Expands `#[derive(Input)]`.

use proc_macro2::{Span, TokenStream};
use quote::{quote, quote_spanned};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{Data, DeriveInput, Field, Fields, FieldsNamed, GenericParam, Lifetime, Type};

use crate::docs;

const ALLOWED: &str = "allowed are `f64`, `i64`, `bool`, `&str`, `String`, `Timestamp` and `Option` of one of these";

pub(crate) fn expand(item: &DeriveInput) -> syn::Result<TokenStream> {
    let fields = named_fields(item)?;
    let lifetime = find_lifetime(item)?;
    for field in &fields.named {
        check_name(field)?;
        check_type(field)?;
    }
    let name = &item.ident;
    let (row_lifetime, self_type, row_type) = match lifetime {
        // The struct's own lifetime is used, so that the fields' types need not be rewritten.
        Some(lifetime) => (lifetime.clone(), quote!(#name<'static>), quote!(#name<#lifetime>)),
        None => (Lifetime::new("'row", Span::call_site()), quote!(#name), quote!(#name)),
    };
    let specs = fields.named.iter().map(input_spec);
    let types: Vec<&Type> = fields.named.iter().map(|field| &field.ty).collect();
    let opens = fields.named.iter().enumerate().map(|(index, field)| {
        let (name, ty) = (input_name(field), &field.ty);
        quote_spanned!(ty.span()=> ::assay_sdk::open_field::<#ty>(columns, #index, #name, rows)?)
    });
    let reads = fields.named.iter().enumerate().map(|(index, field)| {
        let (ident, ty, index) = (&field.ident, &field.ty, syn::Index::from(index));
        quote!(#ident: <#ty as ::assay_sdk::Field<#row_lifetime>>::read(columns.#index, row))
    });
    Ok(quote! {
        impl ::assay_sdk::Input for #self_type {
            const INPUTS: &'static [::assay_sdk::InputSpec] = &[#(#specs),*];
            type Row<#row_lifetime> = #row_type;
            type Columns<#row_lifetime> = (#(<#types as ::assay_sdk::Field<#row_lifetime>>::Column,)*);

            #[allow(unused_variables, reason = "an input may have no fields")]
            fn open<#row_lifetime>(
                columns: &#row_lifetime [::assay_sdk::bindings::Column],
                rows: usize,
            ) -> ::std::result::Result<Self::Columns<#row_lifetime>, ::std::string::String> {
                ::std::result::Result::Ok((#(#opens,)*))
            }

            #[inline]
            #[allow(unused_variables, reason = "an input may have no fields")]
            fn read<#row_lifetime>(columns: Self::Columns<#row_lifetime>, row: usize) -> Self::Row<#row_lifetime> {
                #name { #(#reads),* }
            }
        }
    })
}

fn named_fields(item: &DeriveInput) -> syn::Result<&FieldsNamed> {
    match &item.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => Ok(fields),
            _ => Err(syn::Error::new(item.ident.span(), "an input is a struct whose fields have names")),
        },
        _ => Err(syn::Error::new(item.ident.span(), "an input is a struct, one field per value of the event")),
    }
}

fn find_lifetime(item: &DeriveInput) -> syn::Result<Option<&Lifetime>> {
    let mut lifetimes = item.generics.params.iter().map(|parameter| match parameter {
        GenericParam::Lifetime(parameter) => Ok(&parameter.lifetime),
        other => Err(syn::Error::new(other.span(), "an input has no type parameters: a rule must know its types")),
    });
    let lifetime = lifetimes.next().transpose()?;
    match lifetimes.next().transpose()? {
        None => Ok(lifetime),
        Some(second) => Err(syn::Error::new(second.span(), "an input has one lifetime, the batch's")),
    }
}

fn input_name(field: &Field) -> String {
    field.ident.as_ref().map(|ident| ident.unraw().to_string()).unwrap_or_default()
}

fn check_name(field: &Field) -> syn::Result<()> {
    let name = input_name(field);
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(allowed) {
        return Ok(());
    }
    let message = format!(
        "`{name}` cannot be an input's name: it must be a lower-case letter, then lower-case letters, digits and `_`"
    );
    Err(syn::Error::new_spanned(&field.ident, message))
}

/// Compares the names of types, so that there is one error, which names the field: an unmet trait bound would be
/// reported once per use. The cost is that an alias of an allowed type is refused.
fn check_type(field: &Field) -> syn::Result<()> {
    let ty = option_item(&field.ty).unwrap_or(&field.ty);
    let advice = match ty {
        Type::Reference(to) if to.mutability.is_some() => "inputs cannot be changed",
        Type::Reference(to) if is_named(&to.elem, "str") => return Ok(()),
        Type::Reference(_) => "a reference can be a `&str` alone",
        Type::Path(path) => {
            let name = path.path.segments.last().map(|last| last.ident.to_string()).unwrap_or_default();
            match name.as_str() {
                "f64" | "i64" | "bool" | "String" | "Timestamp" => return Ok(()),
                name => type_advice(name),
            }
        }
        _ => "an input is one value; make it several fields",
    };
    let (name, shown) = (input_name(field), format_type(&field.ty));
    let message = format!("field `{name}` cannot be `{shown}`: {advice}; {ALLOWED}");
    Err(syn::Error::new_spanned(&field.ty, message))
}

/// The advice for a type that authors may try.
fn type_advice(name: &str) -> &'static str {
    match name {
        "f32" => "take `f64`",
        "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i128" | "isize" => "take `i64`",
        "char" | "Cow" | "PathBuf" | "Uuid" => "take `&str` or `String`",
        "SystemTime" | "Instant" | "DateTime" | "Duration" => "take `Timestamp`",
        "Option" => "an `Option` of an `Option` says nothing more than one",
        "Vec" | "HashMap" | "BTreeMap" | "HashSet" | "BTreeSet" => {
            "an input is one value; let the rule's expression or a view reduce it"
        }
        _ => "it is not a type of the wire; make it from one in the function",
    }
}

fn is_named(ty: &Type, name: &str) -> bool {
    matches!(ty, Type::Path(path) if path.path.is_ident(name))
}

/// Formats a type nearly as its author wrote it: tokens do not keep their spaces.
fn format_type(ty: &Type) -> String {
    let text = quote!(#ty).to_string();
    text.replace(" < ", "<").replace(" >", ">").replace("& ", "&").replace(" ,", ",").replace(" :: ", "::")
}

fn option_item(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path.path.segments.last().filter(|last| last.ident == "Option")?;
    let syn::PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first()? {
        syn::GenericArgument::Type(item) => Some(item),
        _ => None,
    }
}

fn input_spec(field: &Field) -> TokenStream {
    let (name, doc, ty) = (input_name(field), docs::join_doc_comments(&field.attrs), StaticType(&field.ty));
    quote_spanned! {field.ty.span()=>
        ::assay_sdk::InputSpec {
            name: #name,
            kind: <#ty as ::assay_sdk::Field<'static>>::KIND,
            required: <#ty as ::assay_sdk::Field<'static>>::REQUIRED,
            doc: #doc,
        }
    }
}

/// A type with `'static` for its lifetimes.
struct StaticType<'a>(&'a Type);

impl quote::ToTokens for StaticType<'_> {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(crate::signature::with_static_lifetimes(quote::ToTokens::to_token_stream(self.0)));
    }
}
