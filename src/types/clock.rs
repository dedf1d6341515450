//! The clock by which the kernel stamps files, so that what cask stamps fits in between.
//!
//! Since Linux 6.13 that clock is none that clock_gettime(2) has: it is coarse, but runs ahead to any finer stamp that
//! some filesystem gave out (Documentation/filesystems/multigrain-ts.rst). A stamp of CLOCK_REALTIME_COARSE could then
//! be earlier than what the kernel stamped before, and one of CLOCK_REALTIME later than what it stamps next. So the
//! kernel is asked to stamp: a file in memory, whose change time is read back.

use std::os::fd::OwnedFd;
use std::sync::OnceLock;

use rustix::fs::{MemfdFlags, Mode, fchmod, fstat, memfd_create};
use rustix::time::{ClockId, clock_gettime};

/// Changed for its change time. `None` where there are no such files: the coarse clock must do.
static STAMPED: OnceLock<Option<OwnedFd>> = OnceLock::new();

/// Seconds since 1970, and nanoseconds of the second.
type Moment = (i64, u32);

/// The present: no earlier than anything that the kernel stamped before the call, no later than what it stamps
/// after it.
pub(super) fn now() -> Moment {
    let file = STAMPED.get_or_init(|| memfd_create("clock", MemfdFlags::CLOEXEC).ok());
    file.as_ref().and_then(stamp).unwrap_or_else(coarse)
}

/// Has the kernel stamp `file`. Another thread may do so, too, before the time is read: that is later, and still now.
fn stamp(file: &OwnedFd) -> Option<Moment> {
    // The mode that it has already: chmod(2) stamps the change time all the same.
    fchmod(file, Mode::RUSR | Mode::WUSR).ok()?;
    let stat = fstat(file).ok()?;
    let nanos = u32::try_from(stat.st_ctime_nsec).ok()?;
    Some((stat.st_ctime, nanos))
}

fn coarse() -> Moment {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    (now.tv_sec, u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn changed(file: &File) -> Moment {
        let meta = file.metadata().unwrap();
        (meta.ctime(), u32::try_from(meta.ctime_nsec()).unwrap())
    }

    /// Files that are looked at have the kernel's clock run ahead of the coarse one.
    #[test]
    fn stamps_are_in_order_with_those_of_the_kernel() {
        let file = tempfile::tempfile().unwrap();
        let touch = || {
            file.set_len(changed(&file).1.into()).unwrap();
            changed(&file)
        };
        let mut last = touch();
        for _ in 0..20_000 {
            let ours = now();
            assert!(ours >= last, "{ours:?} after {last:?} of the kernel");
            last = touch();
            assert!(last >= ours, "{last:?} of the kernel after {ours:?}");
        }
    }

    #[test]
    fn it_is_the_time_of_day() {
        let (coarse, now) = (coarse(), now());
        assert!(now >= coarse && now.0 - coarse.0 <= 1);
    }
}
