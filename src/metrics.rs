//! What can be measured of the volumes of a root, in the text format of Prometheus
//! (prometheus.io/docs/instrumenting/exposition_formats).
//!
//! Owns the names of metrics, which are published. Opens no volume: it asks the servers there are, and reads what else is
//! written in a volume's directory. Knows neither sockets nor who reads the text.

mod families;
mod measured_volume;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

pub use measured_volume::MeasuredVolume;

use crate::types::VolumeName;
use crate::volume::Result;
use crate::volume::store::Store;

/// What the text is in, as HTTP calls it.
pub use families::CONTENT_TYPE;

/// Volumes that are looked at at once: a server that does not answer shall not hold up the others.
const AT_ONCE: usize = 16;

/// All that can be measured of the volumes of `store` now, as text.
///
/// # Errors
/// [`crate::volume::Error::Storage`] when the store cannot be read. What cannot be told of one volume is left out.
pub fn text(store: &Store) -> Result<String> {
    Ok(families::text(look_at(store, &store.names()?)))
}

/// What can be told now of the volumes of these names, by name. One that is gone is left out.
#[must_use]
pub fn look_at(store: &Store, names: &[VolumeName]) -> Vec<MeasuredVolume> {
    let next = AtomicUsize::new(0);
    let look = || {
        let mine = std::iter::from_fn(|| names.get(next.fetch_add(1, Ordering::Relaxed)));
        mine.filter_map(|name| MeasuredVolume::of(name.as_str(), &store.dir_of(name)))
            .collect::<Vec<_>>()
    };
    let mut volumes: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE.min(names.len()))
            .map(|_| scope.spawn(look))
            .collect();
        threads
            .into_iter()
            .filter_map(|thread| thread.join().ok())
            .flatten()
            .collect()
    });
    volumes.sort_by(|a, b| a.name.cmp(&b.name));
    volumes
}
