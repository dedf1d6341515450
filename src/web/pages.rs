//! HTML. All text that comes from elsewhere is escaped by the templates; what is bytes is made text before.

mod changes;
mod parts;
mod restore;
mod tree;
mod volume;
mod volumes;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};

pub(super) use changes::changes;
pub(super) use restore::restore;
pub(super) use tree::tree;
pub(super) use volume::volume;
pub(super) use volumes::volumes;

use super::refusal::Refusal;

/// Where a page stands: each step's words, and its address.
type Trail<'t> = &'t [(String, String)];

fn page(status: StatusCode, title: &str, trail: Trail<'_>, content: &Markup) -> Response {
    let whole = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " \u{b7} cask" }
                link rel="stylesheet" href="/static/page.css";
                link rel="icon" href="/static/icon.svg" type="image/svg+xml";
                script src="/static/page.js" defer {}
            }
            body {
                a.skip href="#content" { "To the content" }
                header {
                    nav aria-label="Where you are" {
                        ol {
                            li { a href="/" { "cask" } }
                            @for (words, address) in trail {
                                li { a href=(address) { bdi { (words) } } }
                            }
                        }
                    }
                }
                main #content { (content) }
            }
        }
    };
    let kind = [(CONTENT_TYPE, "text/html; charset=utf-8")];
    (status, kind, whole.into_string()).into_response()
}

/// A page that says why there is no other.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let title = refusal.status.canonical_reason().unwrap_or("Refused");
    let content = html! {
        h1 { (title) }
        p.alert role="alert" { (refusal.said) "." }
        p { a href="/" { "All volumes" } }
    };
    page(refusal.status, title, &[], &content)
}
