//! A bucket of an S3 store, or of anything that speaks its protocol.
//!
//! Credentials come from the environment, from a web identity, or from the instance's metadata, as `object_store` looks
//! for them. Only single requests are sent: no multipart uploads, for what stores promise of their conditions differs.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use object_store::aws::AmazonS3ConfigKey::DisableBulkDelete;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    PutPayload, RetryConfig, UpdateVersion,
};
use tokio::runtime::{Builder, Runtime};

use super::retry::Retry;
use super::throttle::{Connector, Throttle};
use super::{Bytes, DELETED_AT_ONCE, Key, Listed, OBJECT_BYTES_MAX, Shelf, Tag};
use crate::remote::at_once::ask_each;
use crate::remote::{Error, Result};

/// How long nothing may come of an answer.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// The same for somebody who waits for a read.
const SILENCE_MAX_BRIEF: Duration = Duration::from_secs(10);
/// How long an object may take to be sent: the client counts from the first byte of the request to the answer.
const SENDING_MAX: Duration = Duration::from_secs(600);
/// How long nothing may come of any request before the store counts as away.
pub(in crate::remote) const GIVE_UP_AFTER: Duration = SILENCE_MAX;
/// How long the client itself sends a request again that fails for now, and how often; [`Retry`] goes on after that.
const RETRY_FOR: Duration = Duration::from_secs(60);
const RETRIES: usize = 8;
/// Small requests that are made at once.
const AT_ONCE: usize = 16;
/// How often is asked where two that write at once may both lose.
const ATTEMPTS: u32 = 4;
/// After the first time; longer after each that follows.
const PAUSE: Duration = Duration::from_millis(200);

/// What is said of a store beside where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::remote) struct Endpoint {
    /// Its URL; AWS itself where there is none.
    pub(in crate::remote) url: Option<String>,
    /// Its region.
    pub(in crate::remote) region: Option<String>,
    /// How long nothing may come of any request before the store counts as away.
    pub(in crate::remote) give_up_after: Duration,
}

/// How `If-Match` wants the tag that a store gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::remote) enum TagForm {
    /// As it came: in quotation marks.
    Quoted,
    /// Without (Ceph RGW 16 finds no other equal).
    Bare,
}

/// A prefix in a bucket.
#[derive(Debug)]
pub(in crate::remote) struct S3 {
    store: Arc<AmazonS3>,
    /// The same for what is sent, which may be long, on a slow line.
    sending: Arc<AmazonS3>,
    /// The same for many deletions in one request, which not every store takes: that is to be found out soon.
    deleting: Arc<AmazonS3>,
    /// It does not.
    deletes_singly: AtomicBool,
    prefix: String,
    tags: TagForm,
    runtime: Runtime,
    retry: Retry,
}

impl S3 {
    pub(in crate::remote) fn open(
        (bucket, prefix): (&str, &str),
        endpoint: &Endpoint,
        tags: TagForm,
    ) -> Result<Self> {
        endpoint.url.as_deref().map_or(Ok(()), check_endpoint)?;
        let silence = SILENCE_MAX.min(endpoint.give_up_after.max(SILENCE_MAX_BRIEF));
        let throttle = Arc::new(Throttle::new());
        let client = |silence, retries| {
            let client = builder(bucket, endpoint, silence, retries);
            client.with_http_connector(Connector::through(&throttle))
        };
        // Else one object is deleted by the request for many, which not every store takes.
        let store = client(silence, RETRIES).with_config(DisableBulkDelete, "true");
        let built = |client: AmazonS3Builder| {
            let client = client.build().map_err(|e| Error::Setting(e.to_string()));
            client.map(Arc::new)
        };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Error::host("start the client of the store", e))?;
        Ok(Self {
            store: built(store)?,
            sending: built(client(SENDING_MAX, RETRIES))?,
            deleting: built(client(silence, 0))?,
            deletes_singly: AtomicBool::new(false),
            prefix: prefix.to_owned(),
            tags,
            runtime,
            retry: Retry::of(endpoint.give_up_after),
        })
    }

    fn path(&self, key: &str) -> Result<Path> {
        let whole = if self.prefix.is_empty() {
            key.to_owned()
        } else {
            format!("{}/{key}", self.prefix)
        };
        Path::parse(&whole).map_err(|e| Error::Setting(e.to_string()))
    }

    fn send(&self, key: &Key, bytes: Bytes, mode: &PutMode) -> Result<Tag> {
        let path = self.path(key.as_str())?;
        let payload = PutPayload::from(bytes);
        let sent = self.contend(|| {
            let options = PutOptions::from(mode.clone());
            self.runtime
                .block_on(self.sending.put_opts(&path, payload.clone(), options))
        });
        let sent = sent.map_err(|e| failed("store", key, &e))?;
        Ok(Tag(sent.e_tag.unwrap_or_default()))
    }

    /// Asks until there is an answer, or nothing has come of any request for too long.
    fn ask<T>(&self, ask: impl Fn() -> object_store::Result<T>) -> object_store::Result<T> {
        self.retry.ask(may_pass, ask)
    }

    /// The same, and some times more while nobody has won.
    fn contend<T>(&self, ask: impl Fn() -> object_store::Result<T>) -> object_store::Result<T> {
        let ask = || self.ask(&ask);
        for attempt in 1..ATTEMPTS {
            match ask() {
                Err(error) if is_conflict(&error) => {
                    log::info!("{}: asking again", said(&error));
                    thread::sleep(PAUSE * attempt);
                }
                answered => return answered,
            }
        }
        ask()
    }

    /// Removes objects by one request; whether it did. Some stores know no such request, or only one that names its own
    /// checksum, and who may not delete all of them is told of one: then each is removed by itself.
    fn delete_together(&self, keys: &[Key]) -> Result<bool> {
        use futures_util::{TryStreamExt as _, stream};
        let paths = keys.iter().map(|key| self.path(key.as_str()));
        let paths = paths.collect::<Result<Vec<_>>>()?;
        let ask = || {
            let paths = stream::iter(paths.clone().into_iter().map(Ok));
            let deleted = self.deleting.delete_stream(Box::pin(paths));
            let deleted = deleted.try_for_each(|_| std::future::ready(Ok(())));
            self.runtime.block_on(deleted)
        };
        let is_passing = |error: &object_store::Error| may_pass(error) && !is_about_batch(error);
        match self.retry.ask(is_passing, ask) {
            Ok(()) => Ok(true),
            Err(error) if is_passing(&error) => Err(failed("delete", &keys[0], &error)),
            Err(error) => {
                log::info!("deleting one by one: {}", said(&error));
                self.deletes_singly.store(true, Ordering::Relaxed);
                Ok(false)
            }
        }
    }
}

/// One object of many could not be deleted, or the answer makes no sense.
fn is_about_batch(error: &object_store::Error) -> bool {
    let text = error.to_string();
    text.contains("DeleteObjects request failed for key")
        || text.contains("invalid DeleteObjects response")
}

/// Refuses what is no URL of a store.
///
/// # Errors
/// [`Error::Setting`].
pub fn check_endpoint(url: &str) -> Result<()> {
    let wrong = |what: &str| Err(Error::Setting(format!("the endpoint {what}")));
    let rest = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next());
    match host {
        // Not said again: what is before it may be a secret.
        Some(host) if host.contains('@') => {
            wrong("has a user in it: credentials come from the environment")
        }
        Some(host) if !host.is_empty() && !url.contains(char::is_whitespace) => Ok(()),
        _ => wrong(&format!("{url:?} is not http://HOST or https://HOST")),
    }
}

fn part(mut bytes: Vec<u8>, range: &Range<u64>) -> Vec<u8> {
    let at = |end: u64| usize::try_from(end).map_or(bytes.len(), |end| end.min(bytes.len()));
    let (start, end) = (at(range.start), at(range.end));
    bytes.truncate(end);
    bytes.split_off(start)
}

/// A client; `silence` is how long nothing may come of an answer.
fn builder(
    bucket: &str,
    endpoint: &Endpoint,
    silence: Duration,
    retries: usize,
) -> AmazonS3Builder {
    let client = ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(silence)
        .with_connect_timeout(SILENCE_MAX)
        .with_allow_http(true);
    let retry = RetryConfig {
        max_retries: retries,
        retry_timeout: RETRY_FOR,
        ..RetryConfig::default()
    };
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_client_options(client)
        .with_retry(retry);
    if let Some(url) = &endpoint.url {
        builder = builder
            .with_endpoint(url)
            .with_virtual_hosted_style_request(false);
    }
    if let Some(region) = &endpoint.region {
        builder = builder.with_region(region);
    }
    builder
}

/// Two wrote at the same moment, and neither has won: no answer to the condition (AWS S3 API reference, PutObject).
fn is_conflict(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::AlreadyExists { .. })
        && error.to_string().contains("ConditionalRequestConflict")
}

/// The store could not be reached, was busy, or broke off. What it says of the request itself (4xx, or 501) it says again,
/// but for 408 and 429 (RFC 9110, 15.5 and 15.6.2; RFC 6585).
fn may_pass(error: &object_store::Error) -> bool {
    let object_store::Error::Generic { .. } = error else {
        return false;
    };
    if is_about_credentials(error) || is_unmarked(error) {
        return false;
    }
    let text = error.to_string();
    let status = text.split_once("status code: ").map(|(_, rest)| rest);
    let is_final = |status: &str| {
        let passes = status.starts_with("408") || status.starts_with("429");
        status.starts_with("501") || status.starts_with('4') && !passes
    };
    !status.is_some_and(is_final) && !is_sent_nowhere(&text)
}

/// The last place where credentials are looked for (AWS EC2 user guide, "Instance metadata") did not answer.
fn is_about_credentials(error: &object_store::Error) -> bool {
    error.to_string().contains("http://169.254.169.254/")
}

/// It was asked for a part, and said 200 in place of 206 (RFC 9110, 15.3.7): `rclone serve s3` does, and sends the part.
fn is_unmarked(error: &object_store::Error) -> bool {
    error.to_string().contains("non-partial response")
}

/// The signature names another region than the bucket's: AWS S3 and Garage say so, or send elsewhere.
fn is_about_region(error: &object_store::Error) -> bool {
    let text = error.to_string();
    text.contains("<Code>AuthorizationHeaderMalformed</Code>")
        && (text.contains("region") || text.contains("scope"))
        || is_sent_nowhere(&text)
}

/// A redirect that does not say where to (AWS S3 user guide, "Making requests").
fn is_sent_nowhere(text: &str) -> bool {
    text.contains("redirect without LOCATION")
}

fn failed(op: &'static str, key: &Key, error: &object_store::Error) -> Error {
    use object_store::Error as Cause;
    let object = key.to_string();
    let source = || Box::new(Answer(said(error)));
    match error {
        _ if is_about_credentials(error) => Error::Denied {
            op,
            object,
            source: Box::new(Answer(format!(
                "there are no credentials in the environment, and this host's metadata service has none: {}",
                said(error)
            ))),
        },
        _ if is_about_region(error) => Error::OtherRegion(said(error)),
        Cause::NotFound { .. } => Error::Missing { object },
        Cause::AlreadyExists { .. } => Error::Exists { object },
        Cause::Precondition { .. } => Error::Changed { object },
        Cause::PermissionDenied { .. } | Cause::Unauthenticated { .. } => Error::Denied {
            op,
            object,
            source: source(),
        },
        Cause::NotSupported { .. } | Cause::NotImplemented { .. } => {
            Error::Unfit(error.to_string())
        }
        _ => Error::Unreachable {
            op,
            object,
            source: source(),
        },
    }
}

/// What the store, or the way to it, said.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Answer(String);

/// The innermost cause, in one line: each layer of the client says all that those below it say, with the address.
fn said(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let within = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once(&format!("</{tag}>"))?.0.to_owned())
    };
    match (within("Code"), within("Message")) {
        (Some(code), Some(message)) => format!("{code}: {}", unescaped(&message)),
        (Some(code), None) => code,
        (None, _) => text,
    }
}

/// Without the entities of XML.
fn unescaped(text: &str) -> String {
    let entities = [
        ("&apos;", "'"),
        ("&quot;", "\""),
        ("&lt;", "<"),
        ("&gt;", ">"),
        // Last, or what it makes would be taken for another.
        ("&amp;", "&"),
    ];
    let replace = |text: String, (entity, plain)| text.replace(entity, plain);
    entities.into_iter().fold(text.to_owned(), replace)
}

impl Shelf for S3 {
    fn put(&self, key: &Key, bytes: Bytes) -> Result<()> {
        self.send(key, bytes, &PutMode::Overwrite).map(drop)
    }

    fn create(&self, key: &Key, bytes: Bytes) -> Result<Tag> {
        self.send(key, bytes, &PutMode::Create)
    }

    fn replace(&self, key: &Key, bytes: Bytes, tag: &Tag) -> Result<Tag> {
        let e_tag = match self.tags {
            TagForm::Quoted => tag.0.clone(),
            TagForm::Bare => tag.0.trim_matches('"').to_owned(),
        };
        let version = UpdateVersion {
            e_tag: Some(e_tag),
            version: None,
        };
        match self.send(key, bytes, &PutMode::Update(version)) {
            // What is to be replaced is gone.
            Err(Error::Missing { object }) => Err(Error::Changed { object }),
            sent => sent,
        }
    }

    fn get(&self, key: &Key) -> Result<(Vec<u8>, Tag)> {
        let path = self.path(key.as_str())?;
        let got = self.ask(|| {
            self.runtime.block_on(async {
                let found = self.store.get(&path).await?;
                if found.meta.size > OBJECT_BYTES_MAX {
                    return Ok(None);
                }
                let tag = found.meta.e_tag.clone().unwrap_or_default();
                Ok(Some((found.bytes().await?, tag)))
            })
        });
        let got = got.map_err(|e| failed("read", key, &e))?;
        let (bytes, tag) = got.ok_or_else(|| Error::damaged(key, "it is too long"))?;
        // Of what nobody else holds: no copy.
        Ok((bytes.into(), Tag(tag)))
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Vec<u8>> {
        let path = self.path(key.as_str())?;
        let options = GetOptions {
            range: Some(GetRange::Bounded(range.clone())),
            ..GetOptions::default()
        };
        let got = self.ask(|| {
            self.runtime.block_on(async {
                let found = self.store.get_opts(&path, options.clone()).await?;
                found.bytes().await
            })
        });
        match got {
            Err(error) if is_unmarked(&error) => Ok(part(self.get(key)?.0, &range)),
            got => Ok(got.map_err(|e| failed("read", key, &e))?.into()),
        }
    }

    fn list(&self, dir: &str) -> Result<Vec<Listed>> {
        use futures_util::TryStreamExt as _;
        let key = Key::new(dir);
        let path = self.path(dir)?;
        let found = self.ask(|| {
            self.runtime
                .block_on(self.store.list(Some(&path)).try_collect::<Vec<_>>())
        });
        let found = found.map_err(|e| failed("list", &key, &e))?;
        let listed = found.into_iter().filter_map(|meta| {
            let whole = meta.location.to_string();
            let key = match self.prefix.as_str() {
                "" => Some(whole.as_str()),
                prefix => whole.strip_prefix(prefix)?.strip_prefix('/'),
            };
            Some(Listed {
                key: Key::new(key?),
                bytes: meta.size,
                modified: meta.last_modified.timestamp(),
                tag: meta.e_tag.map(Tag),
            })
        });
        Ok(listed.collect())
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }

    fn delete_all(&self, keys: &[Key]) -> Result<()> {
        for some in keys.chunks(DELETED_AT_ONCE) {
            let are_single = some.len() == 1 || self.deletes_singly.load(Ordering::Relaxed);
            if !are_single && self.delete_together(some)? {
                continue;
            }
            ask_each(self, some, |key| self.delete(key))
                .into_iter()
                .collect::<Result<()>>()?;
        }
        Ok(())
    }

    fn delete(&self, key: &Key) -> Result<()> {
        let path = self.path(key.as_str())?;
        let deleted = self.ask(|| self.runtime.block_on(self.store.delete(&path)));
        match deleted.map_err(|e| failed("delete", key, &e)) {
            Err(Error::Missing { .. }) => Ok(()),
            deleted => deleted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(message: &str) -> Error {
        let text = format!(
            "<Error><Code>AuthorizationHeaderMalformed</Code><Message>{message}</Message></Error>"
        );
        let error = object_store::Error::Generic {
            store: "S3",
            source: text.into(),
        };
        failed("store", &Key::new("config"), &error)
    }

    #[test]
    fn a_wrong_region_is_told_from_a_store_that_is_away() {
        let aws = "the region &apos;a&apos; is wrong; expecting &apos;b&apos;";
        let Error::OtherRegion(said) = refused(aws) else {
            panic!("AWS S3 says so");
        };
        assert!(said.ends_with("the region 'a' is wrong; expecting 'b'"));
        let garage = "unexpected scope: &apos;1/a/s3&apos;, expected: &apos;1/b/s3&apos;";
        assert!(matches!(refused(garage), Error::OtherRegion(_)));
        let key = refused("a non-empty Access Key must be provided");
        assert!(!matches!(key, Error::OtherRegion(_)));
    }

    #[test]
    fn entities_are_told_as_what_they_stand_for() {
        assert_eq!(
            unescaped("&lt;a&gt; &quot;b&quot; &amp;lt;"),
            "<a> \"b\" &lt;"
        );
    }
}
