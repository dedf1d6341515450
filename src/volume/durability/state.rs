//! `state`: what recovery must know before SQLite opens the database.
//!
//! Which boot of the host last had the volume open, on which mount of the host's filesystem, whether it was closed cleanly, and how far the
//! segments were durable at the last checkpoint (docs/format.md, "Recovery").

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use serde::{Deserialize, Serialize};

use crate::chunks::SyncMark;
use crate::durable;
use crate::types::SegmentId;
use crate::volume::error::{Error, Result};
use crate::volume::layout::SEGMENTS;

const FILE: &str = "state";
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The host's boot id while the volume was last open.
    boot_id: String,
    /// The mount of the host's filesystem that it was on; no other had or will have that number in this boot.
    #[serde(default)]
    mount_id: Option<u64>,
    /// Whether it was closed, and all of it synced, since.
    pub(super) clean: bool,
    /// The segment that was open at the last checkpoint; all before it were durable.
    synced_segment: u32,
    /// The offset in it that all durable records ended before.
    synced_offset: u64,
    /// Segments from this number on were never made.
    #[serde(default)]
    next_segment: u32,
    /// What the files held when the volume was closed, where that was known: for whoever lists volumes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    logical_bytes: Option<u64>,
}

/// The file of one volume.
#[derive(Debug)]
pub(in crate::volume) struct StateFile {
    path: PathBuf,
    /// Held over each replacement: two at once would take each other's new file away.
    writing: Mutex<()>,
    boot_id: String,
    mount_id: Option<u64>,
}

impl StateFile {
    pub(super) fn of(dir: &Path) -> Result<Self> {
        let boot_id = fs::read_to_string(BOOT_ID)
            .map_err(|e| Error::storage(format!("cannot read {BOOT_ID}"), e))?;
        Ok(Self {
            path: dir.join(FILE),
            writing: Mutex::default(),
            boot_id: boot_id.trim().to_owned(),
            mount_id: mount_id(dir),
        })
    }

    /// What was stored last; `None` in a volume that was never opened, or when it cannot be understood: it
    /// only saves work.
    pub(super) fn load(&self) -> Result<Option<State>> {
        match fs::read(&self.path) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes)
                .inspect_err(|e| log::warn!("{} is ignored: {e}", self.path.display()))
                .ok()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::storage(
                format!("cannot read {}", self.path.display()),
                e,
            )),
        }
    }

    /// Whether what the host had in memory for the volume may be gone: it lost power while the volume was open, or the
    /// filesystem was mounted anew since, as that of a disk is which went and came back.
    pub(super) fn lost_power(&self, state: &State) -> bool {
        // Without a number that is never used again it may be another mount: a needless recovery only takes time.
        let is_same_mount = self.mount_id.is_some() && state.mount_id == self.mount_id;
        !state.clean && (state.boot_id != self.boot_id || !is_same_mount)
    }

    /// Notes that the volume is open and durable up to `mark`, and that no segment from `next` on was ever made.
    pub(in crate::volume) fn store_open(&self, mark: SyncMark, next: SegmentId) -> Result<()> {
        self.store(&self.state(mark, next))
    }

    /// Notes that the volume is closed, and durable; its files hold `logical_bytes`, if that is known.
    pub(in crate::volume) fn store_clean(
        &self,
        mark: SyncMark,
        next: SegmentId,
        logical_bytes: Option<u64>,
    ) -> Result<()> {
        self.store(&State {
            clean: true,
            logical_bytes,
            ..self.state(mark, next)
        })
    }

    /// Of an open volume.
    fn state(&self, mark: SyncMark, next: SegmentId) -> State {
        State {
            boot_id: self.boot_id.clone(),
            mount_id: self.mount_id,
            clean: false,
            synced_segment: mark.segment.raw(),
            synced_offset: mark.offset,
            next_segment: next.raw(),
            logical_bytes: None,
        }
    }

    fn store(&self, state: &State) -> Result<()> {
        let text = serde_json::to_vec(state).map_err(|e| Error::bug(&e.to_string()))?;
        let _alone = self.writing.lock();
        durable::replace_file(&self.path, &text)
            .map_err(|e| Error::storage(format!("cannot write {}", self.path.display()), e))
    }
}

/// What the files of the volume in `dir` hold, as whoever closed it last noted it: for one that nobody has open. `None`
/// where it was not closed in order, or did not know.
pub(in crate::volume) fn noted_logical_bytes(dir: &Path) -> Option<u64> {
    match fs::read(dir.join(FILE)) {
        Ok(bytes) => {
            let state: State = serde_json::from_slice(&bytes).ok()?;
            state.logical_bytes.filter(|_| state.clean)
        }
        // Never opened: a new volume, or one that was made with all that it holds.
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let mut segments = fs::read_dir(dir.join(SEGMENTS)).ok()?;
            segments.next().is_none().then_some(0)
        }
        Err(_) => None,
    }
}

/// The unique number of the mount that `dir` is on (statx(2)); `None` before Linux 6.8, where numbers are used again.
fn mount_id(dir: &Path) -> Option<u64> {
    // `STATX_MNT_ID_UNIQUE` of linux/stat.h, for which rustix has no name.
    const MNT_ID_UNIQUE: StatxFlags = StatxFlags::from_bits_retain(0x4000);
    let flags = AtFlags::STATX_DONT_SYNC;
    let stat = statx(CWD, dir, flags, MNT_ID_UNIQUE).ok()?;
    (stat.stx_mask & MNT_ID_UNIQUE.bits() != 0).then_some(stat.stx_mnt_id)
}

impl State {
    /// The number that the next segment gets, at least.
    pub(super) fn next(&self) -> SegmentId {
        // A file that does not say `next_segment` has the mark: its segment was made if anything in it is durable.
        let past_mark = self.synced_segment + u32::from(self.synced_offset > 0);
        SegmentId::from_raw(self.next_segment.max(past_mark))
    }

    /// The mark that it holds.
    pub(super) const fn mark(&self) -> SyncMark {
        SyncMark {
            segment: SegmentId::from_raw(self.synced_segment),
            offset: self.synced_offset,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unclean_end_in_this_boot_and_on_this_mount_lost_no_power() {
        let dir = tempfile::tempdir().unwrap();
        let file = StateFile::of(dir.path()).unwrap();
        let (mark, next) = (
            SyncMark {
                segment: SegmentId::from_raw(1),
                offset: 0,
            },
            SegmentId::from_raw(2),
        );
        file.store_open(mark, next).unwrap();
        let here = file.load().unwrap().unwrap();
        assert_eq!(file.lost_power(&here), here.mount_id.is_none());
        let another = |id| State {
            mount_id: id,
            ..here.clone()
        };
        assert!(file.lost_power(&another(Some(1))) && file.lost_power(&another(None)));
        let clean = State {
            clean: true,
            ..another(None)
        };
        assert!(!file.lost_power(&clean));
    }

    #[test]
    fn two_who_note_at_once_do_not_disturb_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateFile::of(dir.path()).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4_u32 {
                let state = &state;
                scope.spawn(move || {
                    for offset in 0..50 {
                        let segment = SegmentId::from_raw(thread + 1);
                        state
                            .store_open(SyncMark { segment, offset }, segment)
                            .unwrap();
                    }
                });
            }
        });
        assert_eq!(state.load().unwrap().unwrap().synced_offset, 49);
    }
}
