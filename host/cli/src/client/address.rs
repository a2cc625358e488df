//! The address of a server and the API key: of options, or else of environment variables.

use std::path::PathBuf;

use anyhow::{Context, Result, bail, ensure};

/// The address of a server with default settings.
const DEFAULT_URL: &str = "http://127.0.0.1:7717";

/// The server and the API key.
///
/// Ids of global arguments begin with `global-`: clap passes their values to subcommands by id, so an argument of a
/// command with the same id would hide them or get their values.
#[derive(Clone, Debug, clap::Args)]
pub struct ServerArgs {
    /// The server's URL (default: ASSAY_URL, else http://127.0.0.1:7717).
    #[arg(id = "global-url", long = "url", global = true, value_name = "URL")]
    pub url: Option<String>,
    /// The API key (default: ASSAY_KEY). The server's first start prints one.
    #[arg(id = "global-key", long = "key", global = true, value_name = "KEY")]
    pub key: Option<String>,
    /// A file that holds the API key.
    #[arg(
        id = "global-key-file",
        long = "key-file",
        global = true,
        value_name = "FILE",
        conflicts_with = "global-key"
    )]
    pub key_file: Option<PathBuf>,
}

/// The API key of the options, or else of the variable.
///
/// # Errors
/// There is no key, its file cannot be read, or it is no text of a key.
pub(super) fn read_key(args: &ServerArgs) -> Result<String> {
    let (source, key) = match (&args.key, &args.key_file) {
        (Some(key), _) => ("--key", key.clone()),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            ("--key-file", text.trim().to_owned())
        }
        // Not by clap, which would refuse --key-file while ASSAY_KEY is set.
        (None, None) => match std::env::var("ASSAY_KEY") {
            Ok(key) if !key.is_empty() => ("ASSAY_KEY", key),
            _ => bail!("no API key: set ASSAY_KEY or give --key; the server's first start prints one"),
        },
    };
    let is_key = !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_graphic());
    ensure!(is_key, "{source} is not an API key: expected letters, digits and signs, without spaces and line breaks");
    Ok(key)
}

/// The server's URL, of the option or else of the variable, without a slash at its end. Not by clap, whose message about
/// a variable shows the usage of the command.
///
/// # Errors
/// It is no URL of a server.
pub(super) fn server_url(option: Option<&str>, variable: Option<String>) -> Result<String> {
    let variable = variable.filter(|variable| !variable.is_empty());
    let (source, url) = match (option, &variable) {
        (Some(option), _) => ("--url", option),
        (None, Some(variable)) => ("ASSAY_URL", variable.as_str()),
        (None, None) => ("", DEFAULT_URL),
    };
    let has_host = |uri: &ureq::http::Uri| uri.host().is_some_and(|host| !host.is_empty());
    let is_url = url
        .parse::<ureq::http::Uri>()
        .is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && has_host(&uri) && uri.query().is_none());
    ensure!(is_url, "{source}: '{url}' is not the URL of a server: expected http://HOST:PORT, such as {DEFAULT_URL}");
    Ok(url.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_of_a_server_is_checked_before_it_is_used() {
        let of_variable = |text: &str| server_url(None, Some(text.to_owned())).map_err(|error| error.to_string());
        assert_eq!(of_variable("").as_deref(), Ok(DEFAULT_URL));
        assert_eq!(of_variable("https://assay.example/").as_deref(), Ok("https://assay.example"));
        assert_eq!(server_url(Some("http://[::1]:1"), Some("foo".to_owned())).unwrap(), "http://[::1]:1");
        for wrong in ["foo", "127.0.0.1:7717", "ftp://host", "http://", "http://host?a=b", "http://a b"] {
            let said = of_variable(wrong).unwrap_err();
            assert!(
                said.starts_with(&format!("ASSAY_URL: '{wrong}' is not the URL of a server: expected http://")),
                "{said}"
            );
            assert!(server_url(Some(wrong), None).unwrap_err().to_string().starts_with("--url: "));
        }
    }
}
