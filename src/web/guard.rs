//! Who is let in, and what browsers are told to hold to. Every request comes by here first.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, LOCATION, ORIGIN,
    REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use super::fields::Fields;
use super::pages;
use super::refusal::Refusal;
use super::site::{Changes, Site};

const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// What holds nothing of anybody's: the page that says how to get a token has them, too.
const OPEN: &str = "/static/";

/// Answers a request, or says why not.
pub(super) async fn guard(State(site): State<Arc<Site>>, request: Request, next: Next) -> Response {
    let mut response = match admit(&site, &request) {
        Ok(Admission::Granted) => next.run(request).await,
        Ok(Admission::Exchanged(to)) => with_cookie(&site, &to),
        Err(refusal) => pages::refused(&refusal),
    };
    tell_browser(response.headers_mut());
    response
}

enum Admission {
    Granted,
    /// The token was in the address: from now on it is in a cookie, and the address this one.
    Exchanged(String),
}

fn admit(site: &Site, request: &Request) -> Result<Admission, Refusal> {
    let headers = request.headers();
    let forbidden = |said: &str| Refusal::new(StatusCode::FORBIDDEN, said);
    let origin = only(headers, &HOST).and_then(|host| site.origin_of(host));
    let origin = origin.ok_or_else(|| {
        forbidden(
            "this name leads here and is not known here; use the address that `cask web` printed",
        )
    })?;
    let is_look = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_look && (only(headers, &ORIGIN) != Some(&origin) || is_cross_site(headers)) {
        return Err(forbidden("this was sent by the page of somebody else"));
    }
    if is_look && request.uri().path().starts_with(OPEN) {
        return Ok(Admission::Granted);
    }
    if is_look && let Some((token, rest)) = token_in(request.uri()) {
        return match site.token.is(&token) {
            true => Ok(Admission::Exchanged(rest)),
            false => Err(unknown(
                "this token is not, or no more, the one of this `cask web`",
            )),
        };
    }
    if !is_known(site, headers) {
        return Err(unknown("only who has the token may look here"));
    }
    if !is_look && site.changes == Changes::Refused {
        return Err(forbidden(
            "this page is read-only: `cask web` was started with --read-only",
        ));
    }
    Ok(Admission::Granted)
}

fn unknown(why: &str) -> Refusal {
    let how = "open the address that `cask web` printed when it started; with --token-file, it is \
               http://ADDRESS/?token= and the content of that file";
    Refusal::new(StatusCode::UNAUTHORIZED, format!("{why}: {how}"))
}

/// The value of a header that is there once.
fn only<'h>(headers: &'h HeaderMap, name: &axum::http::HeaderName) -> Option<&'h str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?;
    all.next().is_none().then(|| first.to_str().ok()).flatten()
}

/// What a browser says of who sends a request (W3C, Fetch Metadata); other programs say nothing.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site");
    site.is_some_and(|site| site != "same-origin" && site != "none")
}

/// The token in an address, and the address without it.
fn token_in(uri: &Uri) -> Option<(Vec<u8>, String)> {
    let query = uri.query()?;
    let token = Fields::parse(query).bytes("token")?.to_vec();
    let is_other = |part: &&str| !part.starts_with("token=");
    let rest = query
        .split('&')
        .filter(is_other)
        .collect::<Vec<_>>()
        .join("&");
    // Two slashes at the beginning would be the name of another host.
    let path = format!("/{}", uri.path().trim_start_matches('/'));
    let query = if rest.is_empty() {
        String::new()
    } else {
        format!("?{rest}")
    };
    Some((token, path + &query))
}

fn is_known(site: &Site, headers: &HeaderMap) -> bool {
    let bearer = only(headers, &AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
    if bearer.is_some_and(|token| site.token.is(token.as_bytes())) {
        return true;
    }
    let own = site.cookie();
    let cookies = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|all| all.to_str().ok());
    let mut cookies = cookies
        .flat_map(|all| all.split("; "))
        .filter_map(|one| one.split_once('='));
    cookies.any(|(name, value)| name == own && site.session.is(value.as_bytes()))
}

fn with_cookie(site: &Site, to: &str) -> Response {
    let secure = if site.public.is_some() {
        "; Secure"
    } else {
        ""
    };
    let cookie = format!(
        "{}={}; HttpOnly; SameSite=Strict; Path=/{secure}",
        site.cookie(),
        site.session.as_str()
    );
    (
        StatusCode::SEE_OTHER,
        [(SET_COOKIE, cookie), (LOCATION, to.to_owned())],
    )
        .into_response()
}

fn tell_browser(headers: &mut HeaderMap) {
    let always = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With `no-referrer` a form would not say its own origin either (Fetch, 3.2).
        (REFERRER_POLICY, "same-origin"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in always {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}
