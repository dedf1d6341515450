//! A background that works all the time, so that whatever a test does meets it.

use cask::volume::{CopyTuning, DefragmentTuning, GcTuning, ScheduleTuning, Tuning};

/// Collects at every look, moves whatever is in a segment with a dead byte, puts files together at once, leaves
/// every copy of two extents for later, and tries a scheduled snapshot again at once.
pub(crate) const EAGER: Tuning = Tuning {
    gc: GcTuning {
        dead_percent: 0,
        dead_bytes: 0,
        dead_bytes_idle: 0,
        look_bytes: 1 << 20,
        idle_ms: 20,
        seal_bytes: 0,
    },
    defragment: DefragmentTuning {
        quiet_secs: 0,
        interval_secs: 0,
    },
    copies: CopyTuning {
        at_once_extents: 1,
        later_bytes: 1,
        step_extents: 8,
    },
    schedules: ScheduleTuning { again_secs: 1 },
};

/// The same for a server: `CASK_TUNING`.
#[allow(dead_code, reason = "suites without servers have it too")]
pub(crate) const EAGER_VARIABLE: (&str, &str) = ("CASK_TUNING", include_str!("tuning.json"));

#[test]
fn both_say_the_same() {
    assert_eq!(Tuning::parse(EAGER_VARIABLE.1).unwrap(), EAGER);
}
