//! The remotes of a host: for each a directory below the root, with where the repository is, its key, and what this host
//! knows of it. Only their owner can read them.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::ability::Replacing;
use super::hex;
use super::keys::{KeyId, KeySource};
use super::seal::MasterKey;
use super::shelf::Shelf;
use super::shelf::local::Local;
use super::shelf::s3::{Endpoint, GIVE_UP_AFTER, S3, TagForm, check_endpoint};
use super::url::RemoteUrl;
use super::{Ability, Error, Repository, Result, VolumeAbout};
use crate::durable;
use crate::types::{RemoteName, VolumeId};

const SETTINGS: &str = "config.json";
const KEY: &str = "key";
const CACHE: &str = "cache";
/// How long a store may be away before [`RemoteDir::open_briefly`] tells.
const BRIEFLY: Duration = Duration::from_secs(1);
/// Milliseconds in the place of [`GIVE_UP_AFTER`].
const GIVE_UP_VARIABLE: &str = "CASK_REMOTE_GIVE_UP_MS";
/// Held, in the directory of all remotes, by whoever makes or forgets one; no remote's name begins with a dot.
const LOCK: &str = ".lock";

/// Bytes that chunks of volumes which do not keep them take at most, where nothing else is set.
pub const CACHE_BYTES: u64 = 10 * 1024 * 1024 * 1024;

/// What a host knows of a repository. The field names are published (`cask remote inspect`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// Where it is.
    pub url: String,
    /// The URL of an S3 store that is not AWS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region of an S3 store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// Bytes a second that are sent at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_up: Option<u64>,
    /// Bytes that chunks of volumes which do not keep them take at most, instead of [`CACHE_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<u64>,
    /// The repository's identity.
    pub repository: VolumeId,
    /// The wrapped key that was opened, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
    /// The one that was opened before, which is about to be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retiring: Option<KeyId>,
    /// What its store can do.
    pub ability: Ability,
}

/// Where a new remote is.
#[derive(Debug, Clone)]
pub struct NewRemote {
    /// The repository's place.
    pub url: RemoteUrl,
    /// The URL of an S3 store that is not AWS.
    pub endpoint: Option<String>,
    /// The region of an S3 store.
    pub region: Option<String>,
}

/// All remotes of a host.
#[derive(Debug, Clone)]
pub struct Remotes {
    dir: PathBuf,
}

/// One remote's directory.
#[derive(Debug, Clone)]
pub struct RemoteDir {
    name: RemoteName,
    dir: PathBuf,
}

impl Remotes {
    /// Those below `root`.
    #[must_use]
    pub fn below(root: &Path) -> Self {
        Self {
            dir: root.join("remotes"),
        }
    }

    /// The root, absolute.
    #[must_use]
    pub fn root(&self) -> PathBuf {
        let root = self.dir.parent().unwrap_or(&self.dir);
        std::path::absolute(root).unwrap_or_else(|_| root.to_owned())
    }

    /// All, by name.
    ///
    /// # Errors
    /// [`Error::Host`].
    pub fn all(&self) -> Result<Vec<RemoteDir>> {
        let cannot = |e| Error::host(format!("read {}", self.dir.display()), e);
        let entries = match fs::read_dir(&self.dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(cannot)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let name = entry.map_err(cannot)?.file_name();
            let name = name.to_str().and_then(|name| name.parse().ok());
            found.extend(name.map(|name| self.dir_of(&name)));
        }
        found.retain(RemoteDir::is_there);
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The one of this name, whether it is there or not.
    #[must_use]
    pub fn dir_of(&self, name: &RemoteName) -> RemoteDir {
        RemoteDir {
            name: name.clone(),
            dir: self.dir.join(name.as_str()),
        }
    }

    /// Looks what a store can do, makes a repository there or opens the one that is there, and notes both.
    ///
    /// # Errors
    /// [`Error::Exists`] when `making` says that there should be none, or there is such a remote; [`Error::NoRepository`], [`Error::WrongKey`],
    /// [`Error::Unfit`], [`Error::Host`]; see [`Shelf`].
    pub fn add(
        &self,
        name: &RemoteName,
        new: &NewRemote,
        source: &KeySource,
        making: Making,
    ) -> Result<Settings> {
        source.check()?;
        // Also where it is not used: it is kept, and shown.
        new.endpoint.as_deref().map_or(Ok(()), check_endpoint)?;
        let place = Place::of(new);
        if making == Making::New
            && let RemoteUrl::File(dir) = &new.url
        {
            make_private(dir)?;
        }
        let url = new.url.to_string();
        let ability = Ability::probe(&|form| place.open(form));
        let ability = ability.map_err(|e| name_place(e, &url))?;
        let shelf = place.open(form_of(ability))?;
        let repository = match making {
            Making::New => Repository::create_in(shelf, ability, source)?,
            Making::Existing => {
                Repository::unlock(shelf, ability, source).map_err(|e| name_place(e, &url))?
            }
        };
        let settings = Settings {
            url,
            endpoint: new.endpoint.clone(),
            region: new.region.clone(),
            limit_up: None,
            cache: None,
            repository: repository.id(),
            key: Some(repository.key_of(source)?),
            retiring: None,
            ability,
        };
        self.dir_of(name).make(&settings, repository.master())?;
        Ok(settings)
    }
}

/// Whether a repository is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Making {
    /// There is none yet.
    New,
    /// It is there.
    Existing,
}

fn told_name(volume: VolumeId) -> String {
    format!("{CACHE}/about-{volume}")
}

/// Makes a directory for its owner, and those above it.
fn make_private(dir: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|e| Error::host(format!("create {}", dir.display()), e))
}

fn name_place(error: Error, place: &str) -> Error {
    match error {
        Error::NoRepository(_) => Error::NoRepository(place.to_owned()),
        // An object that nobody can miss: it was to be stored, or is the store itself.
        Error::Missing { .. } => Error::NoPlace(place.to_owned()),
        error => error,
    }
}

/// How a store is reached.
struct Place {
    url: RemoteUrl,
    endpoint: Endpoint,
}

impl Place {
    fn of(new: &NewRemote) -> Self {
        Self {
            url: new.url.clone(),
            endpoint: Endpoint {
                url: new.endpoint.clone(),
                region: new.region.clone(),
                // Who adds a remote may have mistyped the address, and a store that breaks off is to be found out.
                give_up_after: Duration::ZERO,
            },
        }
    }

    fn open(&self, form: TagForm) -> Result<Arc<dyn Shelf>> {
        match &self.url {
            RemoteUrl::File(dir) => Ok(Arc::new(Local::open(dir)?)),
            RemoteUrl::S3 { bucket, prefix } => {
                Ok(Arc::new(S3::open((bucket, prefix), &self.endpoint, form)?))
            }
        }
    }
}

/// How long a store that does not answer is asked again; tests set less than is usual.
fn give_up_after() -> Duration {
    let text = env::var(GIVE_UP_VARIABLE).ok();
    let millis = text.and_then(|text| text.parse().ok());
    millis.map_or(GIVE_UP_AFTER, Duration::from_millis)
}

const fn form_of(ability: Ability) -> TagForm {
    match ability.replaces {
        Replacing::Bare => TagForm::Bare,
        Replacing::Quoted | Replacing::Never => TagForm::Quoted,
    }
}

impl RemoteDir {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &RemoteName {
        &self.name
    }

    /// Whether there is such a remote.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.dir.join(SETTINGS).is_file()
    }

    /// What is known of it.
    ///
    /// # Errors
    /// [`Error::Missing`] when there is no such remote; [`Error::Damaged`], [`Error::Host`].
    pub fn settings(&self) -> Result<Settings> {
        let path = self.dir.join(SETTINGS);
        let bytes = match fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(Error::Missing {
                    object: format!("remote \"{}\"", self.name),
                });
            }
            read => read.map_err(|e| Error::host(format!("read {}", path.display()), e))?,
        };
        serde_json::from_slice(&bytes).map_err(|e| Error::damaged(path.display(), e))
    }

    /// Notes other settings.
    ///
    /// # Errors
    /// [`Error::Host`].
    pub fn set(&self, settings: &Settings) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(settings).map_err(|e| Error::Bug(e.to_string()))?;
        self.store(SETTINGS, &bytes)
    }

    /// Opens the repository.
    ///
    /// # Errors
    /// Those of [`Self::settings`] and [`Repository::open`].
    pub fn open(&self) -> Result<Repository> {
        self.open_giving_up(give_up_after())
    }

    /// The same for who asks again by himself: a store that does not answer is told of soon.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_briefly(&self) -> Result<Repository> {
        self.open_giving_up(BRIEFLY)
    }

    fn open_giving_up(&self, give_up_after: Duration) -> Result<Repository> {
        let settings = self.settings()?;
        let url = settings.url.parse();
        let url: RemoteUrl =
            url.map_err(|e| Error::damaged(self.dir.join(SETTINGS).display(), e))?;
        let place = Place {
            url,
            endpoint: Endpoint {
                url: settings.endpoint.clone(),
                region: settings.region.clone(),
                give_up_after,
            },
        };
        let shelf = place.open(form_of(settings.ability));
        let shelf = shelf.map_err(|e| name_place(e, &settings.url))?;
        let (ability, id) = (settings.ability, settings.repository);
        let opened = Repository::open(shelf, ability, id, self.master()?);
        let opened = opened.map_err(|e| name_place(e, &settings.url))?;
        let opened = opened.keeping(&self.cache());
        Ok(match settings.limit_up {
            Some(limit) => opened.paced(limit),
            None => opened,
        })
    }

    /// Where this host keeps what it knows of the repository: it only saves requests.
    #[must_use]
    pub fn cache(&self) -> PathBuf {
        self.dir.join(CACHE)
    }

    /// Says in the repository what a volume is called, unless this host has said the same before.
    ///
    /// # Errors
    /// [`Error::Host`]; see [`Shelf`].
    pub fn tell_about(&self, repository: &Repository, about: &VolumeAbout) -> Result<()> {
        let bytes = serde_json::to_vec(about).map_err(|e| Error::Bug(e.to_string()))?;
        if fs::read(self.told(about.volume)).is_ok_and(|told| told == bytes) {
            return Ok(());
        }
        repository.put_about(about)?;
        let made = fs::create_dir_all(self.cache());
        made.map_err(|e| Error::host(format!("create {}", self.cache().display()), e))?;
        self.store(&told_name(about.volume), &bytes)
    }

    /// Says it anew where it was lost or damaged since: one request more, where [`Self::tell_about`] needs none.
    ///
    /// # Errors
    /// [`Error::Newer`], [`Error::Host`]; see [`Shelf`].
    pub fn mend_about(&self, repository: &Repository, about: &VolumeAbout) -> Result<()> {
        match repository.about(about.volume) {
            Err(Error::Missing { .. } | Error::Damaged { .. }) => {
                self.forget_told(about.volume)?;
                self.tell_about(repository, about)
            }
            read => read.map(drop),
        }
    }

    /// What was said of a volume is lost: the next push of it says it again.
    ///
    /// # Errors
    /// [`Error::Host`].
    pub fn forget_told(&self, volume: VolumeId) -> Result<()> {
        let told = self.told(volume);
        match fs::remove_file(&told) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::host(format!("remove {}", told.display()), e))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// What this host has said of a volume.
    fn told(&self, volume: VolumeId) -> PathBuf {
        self.dir.join(told_name(volume))
    }

    /// Forgets the remote. The repository stays as it is.
    ///
    /// # Errors
    /// [`Error::Host`].
    pub fn remove(&self) -> Result<()> {
        let _lock = self.lock()?;
        let cannot = |e| Error::host(format!("remove {}", self.dir.display()), e);
        // Without its settings it is no remote, whatever of the rest is left.
        let settings = self.dir.join(SETTINGS);
        fs::remove_file(&settings).map_err(cannot)?;
        fs::remove_dir_all(&self.dir).map_err(cannot)
    }

    fn make(&self, settings: &Settings, master: &MasterKey) -> Result<()> {
        // A directory is no reservation: a removal that was killed leaves one, and so does a push beside a removal.
        let _lock = self.lock()?;
        if self.is_there() {
            return Err(Error::Exists {
                object: format!("remote \"{}\"", self.name),
            });
        }
        make_private(&self.dir)?;
        self.store(KEY, hex::encode(master.as_bytes()).as_bytes())?;
        // Last: what has no settings is no remote.
        self.set(settings)
    }

    /// Nobody else makes or forgets a remote while this is held.
    fn lock(&self) -> Result<File> {
        let all = self.dir.parent().unwrap_or(&self.dir);
        make_private(all)?;
        let path = all.join(LOCK);
        let cannot = |e| Error::host(format!("lock {}", path.display()), e);
        let mut options = File::options();
        let options = options.write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(&path).map_err(cannot)?;
        flock(&file, FlockOperation::LockExclusive).map_err(|e| cannot(e.into()))?;
        Ok(file)
    }

    fn store(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.dir.join(name);
        let stored = durable::replace_shared_file(&path, bytes);
        stored.map_err(|e| Error::host(format!("write {}", path.display()), e))
    }

    fn master(&self) -> Result<MasterKey> {
        let path = self.dir.join(KEY);
        let cannot = |e| Error::host(format!("read {}", path.display()), e);
        let mode = fs::metadata(&path).map_err(cannot)?.permissions().mode();
        if mode & 0o077 != 0 {
            return Err(Error::Setting(format!(
                "others can read {}: take that back with chmod 600, and make a new key",
                path.display()
            )));
        }
        let text = fs::read_to_string(&path).map_err(cannot)?;
        let bytes = hex::decode(text.trim()).and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(MasterKey::from_bytes)
            .ok_or_else(|| Error::damaged(path.display(), "it is no key"))
    }
}
