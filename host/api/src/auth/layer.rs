//! The layer that checks the key and its role. It runs before the body is read.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{Caller, Role, basic};
use crate::app::App;
use crate::connections::Connection;
use crate::http::{ApiError, Code};

/// The most bytes of a refused request's body that are read and discarded before the answer.
const MAX_DISCARD_BYTES: usize = 256 << 10;
/// The longest time for reading it.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(1);

/// Lets a request pass if its key has one of the roles, and puts the caller into the request.
pub(crate) async fn require(
    State((app, roles)): State<(App, &'static [Role])>,
    mut request: Request,
    next: Next,
) -> Response {
    match authenticate(&app, roles, request.headers()) {
        Ok(caller) => {
            if let Some(connection) = request.extensions().get::<Arc<Connection>>() {
                connection.note_key();
            }
            request.extensions_mut().insert(caller);
            let mut response = next.run(request).await;
            forbid_storing(&mut response);
            response
        }
        Err(error) => {
            // A client that is still sending would see a reset connection instead of the answer. The result does not
            // matter: the answer is the same.
            let body = axum::body::to_bytes(request.into_body(), MAX_DISCARD_BYTES);
            let _ = tokio::time::timeout(DISCARD_TIMEOUT, body).await;
            error.into_response()
        }
    }
}

/// Keeps answers that need a key out of shared caches. Answers with a tag may be stored by the client, which
/// revalidates them.
fn forbid_storing(response: &mut Response) {
    let has_tag = response.headers().contains_key(header::ETAG);
    let caching = HeaderValue::from_static(if has_tag { "private, no-cache" } else { "no-store" });
    response.headers_mut().insert(header::CACHE_CONTROL, caching);
}

fn authenticate(app: &App, needed: &[Role], headers: &HeaderMap) -> Result<Arc<Caller>, ApiError> {
    let secret = read_secret(headers)?;
    let caller = app.keys.find_caller(&app.engine, &secret);
    let unknown = || ApiError::new(Code::Unauthorized, "no API key has this secret; it may have been deleted");
    let caller = caller.ok_or_else(unknown)?;
    if !needed.iter().any(|role| caller.has_role(*role)) {
        let join = |roles: &[Role], word: &str| roles.iter().map(Role::to_string).collect::<Vec<_>>().join(word);
        let (needed, have) = (join(needed, " or "), join(&caller.roles, ", "));
        let detail = format!("this needs the role {needed}; the key '{}' has: {have}", caller.name);
        return Err(ApiError::new(Code::Forbidden, detail));
    }
    Ok(caller)
}

/// The secret in `Authorization: Bearer SECRET`, or the password in `Authorization: Basic ...`.
fn read_secret(headers: &HeaderMap) -> Result<Cow<'_, str>, ApiError> {
    let refused = |detail| Err(ApiError::new(Code::Unauthorized, detail));
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return refused(
            "send the header 'Authorization: Bearer KEY', or 'Authorization: Basic' with the key as password",
        );
    };
    let Some((scheme, credentials)) = value.to_str().ok().and_then(|value| value.trim().split_once(' ')) else {
        return refused("expected 'Authorization: Bearer KEY'");
    };
    let credentials = credentials.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Ok(Cow::Borrowed(credentials));
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return refused("expected 'Authorization: Bearer KEY', with the scheme Bearer or Basic");
    }
    match basic::read_password(credentials) {
        Some(password) => Ok(Cow::Owned(password)),
        None => refused("expected 'Authorization: Basic' with NAME:KEY in Base64"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret_in(value: &'static str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        read_secret(&headers).ok().map(Cow::into_owned)
    }

    #[test]
    fn the_schemes_bearer_and_basic_are_read_and_no_other() {
        assert_eq!(secret_in("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(secret_in("bearer  abc ").as_deref(), Some("abc"));
        assert_eq!(secret_in("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==").as_deref(), Some("open sesame"));
        assert_eq!(secret_in("Basic abc"), None);
        assert_eq!(secret_in("Digest abc"), None);
        assert_eq!(secret_in("abc"), None);
        assert!(read_secret(&HeaderMap::new()).is_err());
    }
}
