//! The arguments of `#[plugin(...)]`.

use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Ident, LitInt, LitStr, Path, Token, bracketed};

use crate::names;

const KNOWN: &str = "`tags`, `reasons`, `edges`, `attributes`, `state_version` and `migrate`";

/// The parsed and checked arguments.
#[derive(Default)]
pub(crate) struct Arguments {
    pub(crate) tags: Vec<LitStr>,
    pub(crate) reasons: Vec<LitStr>,
    pub(crate) edges: Vec<LitStr>,
    pub(crate) attributes: Vec<LitStr>,
    pub(crate) state_version: Option<LitInt>,
    pub(crate) migrate: Option<Path>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut arguments = Self::default();
        let mut seen: Vec<Ident> = Vec::new();
        while !input.is_empty() {
            let name: Ident = input.parse()?;
            if seen.contains(&name) {
                return Err(syn::Error::new(name.span(), format!("`{name}` is given twice")));
            }
            input.parse::<Token![=]>()?;
            arguments.parse_value(&name, input)?;
            seen.push(name);
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

impl Arguments {
    fn parse_value(&mut self, name: &Ident, input: ParseStream<'_>) -> syn::Result<()> {
        let text = name.to_string();
        match text.as_str() {
            "tags" => self.tags = parse_names(&text, input)?,
            "reasons" => self.reasons = parse_names(&text, input)?,
            "edges" => self.edges = parse_names(&text, input)?,
            "attributes" => self.attributes = parse_names(&text, input)?,
            "state_version" => {
                let version: LitInt = input.parse()?;
                if version.base10_parse::<u32>()? == 0 {
                    return Err(syn::Error::new(version.span(), "versions of states begin with 1"));
                }
                self.state_version = Some(version);
            }
            "migrate" => self.migrate = Some(input.parse()?),
            _ => {
                let message = format!("`{name}` is not an argument of `plugin`; the arguments are {KNOWN}");
                return Err(syn::Error::new(name.span(), message));
            }
        }
        Ok(())
    }
}

fn parse_names(list: &str, input: ParseStream<'_>) -> syn::Result<Vec<LitStr>> {
    let content;
    bracketed!(content in input);
    let names: Vec<LitStr> = Punctuated::<LitStr, Token![,]>::parse_terminated(&content)?.into_iter().collect();
    names::check_names(list, &names)?;
    Ok(names)
}
