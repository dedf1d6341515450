//! The one mapping of volume errors to errno.

use fuser::Errno;

use super::request::Label;
use crate::types::with_causes;
use crate::volume::Error;

#[deny(
    clippy::wildcard_enum_match_arm,
    reason = "each error has an errno of its own choosing"
)]
/// The errno that a caller gets for `error`.
pub(super) const fn errno(error: &Error) -> Errno {
    match error {
        Error::NotFound => Errno::ENOENT,
        Error::Exists => Errno::EEXIST,
        Error::NotDirectory => Errno::ENOTDIR,
        Error::IsDirectory => Errno::EISDIR,
        Error::NotEmpty => Errno::ENOTEMPTY,
        Error::NotPermitted | Error::Protected => Errno::EPERM,
        Error::AccessDenied => Errno::EACCES,
        Error::PastEnd => Errno::ENXIO,
        Error::Invalid => Errno::EINVAL,
        Error::NameTooLong => Errno::ENAMETOOLONG,
        Error::FileTooLarge => Errno::EFBIG,
        Error::TooManyLinks => Errno::EMLINK,
        Error::NoAttribute => Errno::ENODATA,
        Error::AttributeTooLarge => Errno::E2BIG,
        Error::OutOfRange => Errno::ERANGE,
        Error::Unsupported => Errno::EOPNOTSUPP,
        Error::AttributesFull | Error::NoSpace | Error::OverLimit => Errno::ENOSPC,
        Error::ReadOnly => Errno::EROFS,
        Error::Held | Error::InUse { .. } => Errno::EBUSY,
        Error::CallerUnknown
        | Error::Unwanted
        | Error::NotAVolume { .. }
        | Error::NewerFormat { .. }
        | Error::Exceeded { .. }
        | Error::Corrupt(_)
        | Error::Elsewhere
        | Error::Awaited
        | Error::Remote(_)
        | Error::Bug(_)
        | Error::Storage { .. } => Errno::EIO,
    }
}

/// Logs a failed request by how unexpected that is, and returns its errno.
pub(super) fn report(label: &Label<'_>, error: &Error) -> Errno {
    let level = match error {
        // That a store does not answer is logged once a minute, by whoever asks it.
        Error::Remote(error) if error.is_passing() => log::Level::Debug,
        Error::Corrupt(_)
        | Error::Remote(_)
        | Error::Bug(_)
        | Error::Storage { .. }
        | Error::NotAVolume { .. }
        | Error::NewerFormat { .. } => log::Level::Error,
        _ => log::Level::Debug,
    };
    log::log!(level, "{}", line(label, error));
    errno(error)
}

/// What failed, for whom, and why, on one line: a name may hold any byte.
fn line(label: &Label<'_>, error: &Error) -> String {
    let Label { op, at, name, pid } = label;
    let name = name.map_or_else(String::new, |name| {
        format!(", name \"{}\"", name.escape_ascii())
    });
    format!(
        "{op} of {at}{name}, for process {pid}: {}",
        with_causes(error)
    )
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::types::Ino;

    #[test]
    fn a_failure_is_told_on_one_line_with_all_its_causes() {
        let label = Label {
            op: "unlink",
            at: Ino::from_raw(7),
            name: Some(b"a\nb\xff"),
            pid: 42,
        };
        let error = Error::storage("cannot read x", io::Error::other("the disk is gone"));
        assert_eq!(
            line(&label, &error),
            r#"unlink of inode 7, name "a\nb\xff", for process 42: cannot read x: the disk is gone"#
        );
        assert_eq!(
            line(&label.nameless(), &Error::NotFound),
            "unlink of inode 7, for process 42: no such file or directory"
        );
    }
}
