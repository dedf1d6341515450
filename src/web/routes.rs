//! Which request gets what.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State as Shared};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode, Uri};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::actions;
use super::address::{Address, Shape, What};
use super::bounded::{LOOK_MAX, within};
use super::download;
use super::fields::Fields;
use super::guard::guard;
use super::listing;
use super::live;
use super::pages;
use super::refusal::Refusal;
use super::said::said;
use super::site::Site;
use crate::commands::locate::cannot_list;
use crate::metrics;

const STYLE: &str = include_str!("static/page.css");
const SCRIPT: &str = include_str!("static/page.js");
const ICON: &str = include_str!("static/icon.svg");
/// No form has more in it.
const FORM_BYTES_MAX: usize = 64 << 10;

type Asked = Shared<Arc<Site>>;

pub(super) fn routes(site: Arc<Site>) -> Router {
    Router::new()
        .route("/", get(volumes))
        .route("/metrics", get(text_of_metrics))
        .route("/static/page.css", get(|| fixed("text/css", STYLE)))
        .route("/static/page.js", get(|| fixed("text/javascript", SCRIPT)))
        .route("/static/icon.svg", get(|| fixed("image/svg+xml", ICON)))
        .route("/volumes/{*rest}", get(look).post(act))
        .fallback(|| async { pages::refused(&Refusal::no_place()) })
        .layer(from_fn_with_state(Arc::clone(&site), guard))
        .with_state(site)
}

async fn fixed(kind: &'static str, text: &'static str) -> impl IntoResponse {
    let kind = format!("{kind}; charset=utf-8");
    let headers: [(HeaderName, String); 2] = [
        (CONTENT_TYPE, kind),
        (CACHE_CONTROL, "max-age=60".to_owned()),
    ];
    (headers, text)
}

async fn volumes(Shared(site): Asked, request: Request) -> Response {
    let query = query_of(request.uri());
    let root = site.root.clone();
    let looked = site.own.run(move || listing::volumes(&root, &query)).await;
    match looked {
        Ok(found) => pages::volumes(&site, &found),
        Err(refusal) => pages::refused(&refusal),
    }
}

async fn text_of_metrics(Shared(site): Asked) -> Response {
    let store = site.root.store();
    let text = site
        .own
        .run(move || metrics::text(&store).map_err(cannot_list))
        .await;
    match text {
        Ok(text) => ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(refusal) => pages::refused(&refusal),
    }
}

async fn look(Shared(site): Asked, request: Request) -> Response {
    answer(&site, request.uri().clone())
        .await
        .unwrap_or_else(|refusal| pages::refused(&refusal))
}

async fn answer(site: &Arc<Site>, uri: Uri) -> Result<Response, Refusal> {
    let query = query_of(&uri);
    let address = Address::parse(uri.path()).ok_or_else(Refusal::no_place)?;
    let volume = &address.volume;
    listing::exists(&site.root, volume)?;
    match address.what {
        What::Volume => listing::volume(site, volume)
            .await
            .map(|found| pages::volume(site, &found, StatusCode::OK, &said(&query))),
        What::Figures => live::figures(site, volume).await,
        What::Changes => listing::changes(site, volume, &query)
            .await
            .map(|found| pages::changes(site, &found)),
        What::In(state, Shape::Tree, path) => listing::tree(site, (volume, state, path), &query)
            .await
            .map(|found| pages::tree(site, &found)),
        What::In(state, Shape::File, path) => download::file(site, (volume, state, path)).await,
        What::In(state, Shape::Tar, path) => download::tar(site, (volume, state, path)).await,
        What::In(state, Shape::Restored, path) => {
            Ok(pages::restore(site, (volume, &state, &path), None))
        }
        What::Action(_) => Err(Refusal::no_place()),
    }
}

async fn act(Shared(site): Asked, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let done = async {
        let address = Address::parse(parts.uri.path()).ok_or_else(Refusal::no_place)?;
        listing::exists(&site.root, &address.volume)?;
        let fields = fields_of(body).await?;
        Ok::<_, Refusal>(actions::act(&site, address, fields).await)
    };
    match done.await {
        Ok(response) => response,
        Err(refusal) => pages::refused(&refusal),
    }
}

fn query_of(uri: &Uri) -> Fields {
    Fields::parse(uri.query().unwrap_or_default())
}

async fn fields_of(body: Body) -> Result<Fields, Refusal> {
    let refused = |said| Refusal::new(StatusCode::BAD_REQUEST, said);
    let arrived = within(LOOK_MAX, to_bytes(body, FORM_BYTES_MAX)).await;
    let bytes = arrived.and_then(Result::ok);
    let bytes = bytes.ok_or_else(|| refused("the form did not arrive; send it again"))?;
    let text = std::str::from_utf8(&bytes).ok();
    let fields = text.and_then(Fields::of_form);
    fields.ok_or_else(|| refused("the form is broken, and nothing was done; send it again"))
}
