//! A bucket of an S3 store, or of anything that speaks its protocol.
//!
//! Credentials come from the environment, from a web identity, or from the instance's metadata, as `object_store` looks
//! for them. Only single requests are sent: no multipart uploads, for what stores promise of their conditions differs.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{
    ClientOptions, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    RetryConfig, UpdateVersion,
};
use tokio::runtime::{Builder, Runtime};

use super::{Key, Listed, OBJECT_BYTES_MAX, Shelf, Tag};
use crate::remote::{Error, Result};

/// How long nothing may come of an answer.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long a request that fails for now is sent again.
const RETRY_FOR: Duration = Duration::from_secs(60);
const RETRIES: usize = 8;

/// What is said of a store beside where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::remote) struct Endpoint {
    /// Its URL; AWS itself where there is none.
    pub(in crate::remote) url: Option<String>,
    /// Its region.
    pub(in crate::remote) region: Option<String>,
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
    prefix: String,
    tags: TagForm,
    runtime: Runtime,
}

impl S3 {
    pub(in crate::remote) fn open(
        (bucket, prefix): (&str, &str),
        endpoint: &Endpoint,
        tags: TagForm,
    ) -> Result<Self> {
        let store = builder(bucket, endpoint).build();
        let store = store.map_err(|e| Error::Setting(e.to_string()))?;
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| Error::host("start the client of the store", e))?;
        Ok(Self {
            store: Arc::new(store),
            prefix: prefix.to_owned(),
            tags,
            runtime,
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

    fn send(&self, key: &Key, bytes: Vec<u8>, mode: PutMode) -> Result<Tag> {
        let path = self.path(key.as_str())?;
        let options = PutOptions::from(mode);
        let sent = self
            .runtime
            .block_on(self.store.put_opts(&path, bytes.into(), options));
        let sent = sent.map_err(|e| failed("store", key, e))?;
        Ok(Tag(sent.e_tag.unwrap_or_default()))
    }
}

fn builder(bucket: &str, endpoint: &Endpoint) -> AmazonS3Builder {
    // The whole of a request may take as long as it goes on: a pack takes minutes on a slow line.
    let client = ClientOptions::new()
        .with_timeout_disabled()
        .with_read_timeout(SILENCE_MAX)
        .with_connect_timeout(SILENCE_MAX)
        .with_allow_http(true);
    let retry = RetryConfig {
        max_retries: RETRIES,
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

fn failed(op: &'static str, key: &Key, error: object_store::Error) -> Error {
    use object_store::Error as Cause;
    let object = key.to_string();
    match error {
        Cause::NotFound { .. } => Error::Missing { object },
        Cause::AlreadyExists { .. } => Error::Exists { object },
        Cause::Precondition { .. } => Error::Changed { object },
        Cause::PermissionDenied { .. } | Cause::Unauthenticated { .. } => Error::Denied {
            op,
            object,
            source: Box::new(error),
        },
        Cause::NotSupported { .. } | Cause::NotImplemented { .. } => {
            Error::Unfit(error.to_string())
        }
        error => Error::Unreachable {
            op,
            object,
            source: Box::new(error),
        },
    }
}

impl Shelf for S3 {
    fn put(&self, key: &Key, bytes: Vec<u8>) -> Result<()> {
        self.send(key, bytes, PutMode::Overwrite).map(drop)
    }

    fn create(&self, key: &Key, bytes: Vec<u8>) -> Result<Tag> {
        self.send(key, bytes, PutMode::Create)
    }

    fn replace(&self, key: &Key, bytes: Vec<u8>, tag: &Tag) -> Result<Tag> {
        let e_tag = match self.tags {
            TagForm::Quoted => tag.0.clone(),
            TagForm::Bare => tag.0.trim_matches('"').to_owned(),
        };
        let version = UpdateVersion {
            e_tag: Some(e_tag),
            version: None,
        };
        match self.send(key, bytes, PutMode::Update(version)) {
            // What is to be replaced is gone.
            Err(Error::Missing { object }) => Err(Error::Changed { object }),
            sent => sent,
        }
    }

    fn get(&self, key: &Key) -> Result<(Vec<u8>, Tag)> {
        let path = self.path(key.as_str())?;
        let got = self.runtime.block_on(async {
            let found = self.store.get(&path).await?;
            if found.meta.size > OBJECT_BYTES_MAX {
                return Ok(None);
            }
            let tag = found.meta.e_tag.clone().unwrap_or_default();
            Ok(Some((found.bytes().await?, tag)))
        });
        let got = got.map_err(|e| failed("read", key, e))?;
        let (bytes, tag) = got.ok_or_else(|| Error::damaged(key, "it is too long"))?;
        Ok((bytes.to_vec(), Tag(tag)))
    }

    fn get_range(&self, key: &Key, range: Range<u64>) -> Result<Vec<u8>> {
        let path = self.path(key.as_str())?;
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        let got = self.runtime.block_on(async {
            let found = self.store.get_opts(&path, options).await?;
            found.bytes().await
        });
        Ok(got.map_err(|e| failed("read", key, e))?.to_vec())
    }

    fn list(&self, dir: &str) -> Result<Vec<Listed>> {
        use futures_util::TryStreamExt as _;
        let key = Key::new(dir);
        let path = self.path(dir)?;
        let found = self
            .runtime
            .block_on(self.store.list(Some(&path)).try_collect::<Vec<_>>());
        let found = found.map_err(|e| failed("list", &key, e))?;
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
            })
        });
        Ok(listed.collect())
    }

    fn delete(&self, key: &Key) -> Result<()> {
        let path = self.path(key.as_str())?;
        let deleted = self.runtime.block_on(self.store.delete(&path));
        match deleted.map_err(|e| failed("delete", key, e)) {
            Err(Error::Missing { .. }) => Ok(()),
            deleted => deleted,
        }
    }
}
