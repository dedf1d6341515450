//! Where the programs of the engines are: in the cache that `test.sh` fills, else in `PATH`; Garage where `CASK_GARAGE` says.

use std::path::PathBuf;

/// A program that is here.
pub(super) struct Program(pub(super) PathBuf);

impl Program {
    pub(super) fn find(name: &str) -> Option<Self> {
        if let Some(path) = named(name) {
            assert!(path.exists(), "CASK_GARAGE: there is no {}", path.display());
            return Some(Self(path));
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let dirs = cache().into_iter().chain(std::env::split_paths(&path));
        let mut paths = dirs.map(|dir| dir.join(name));
        paths.find(|path| path.exists()).map(Self)
    }

    /// One that [`Kind::missing`](super::Kind::missing) has looked for.
    pub(super) fn known(name: &str) -> Self {
        Self::find(name).unwrap_or_else(|| panic!("there is no {name}"))
    }
}

fn named(name: &str) -> Option<PathBuf> {
    let named = || {
        let path = std::env::var_os("CASK_GARAGE").map(PathBuf::from);
        path.filter(|path| !path.as_os_str().is_empty())
    };
    (name == super::garage::PROGRAM).then(named).flatten()
}

fn cache() -> Option<PathBuf> {
    let of_home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    Some(base.or_else(of_home)?.join("cask-tests/bin"))
}
