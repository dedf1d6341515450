//! The one mapping of volume errors to errno.

use fuser::Errno;

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
        | Error::NotAVolume { .. }
        | Error::NewerFormat { .. }
        | Error::Exceeded { .. }
        | Error::Corrupt(_)
        | Error::Bug(_)
        | Error::Storage { .. } => Errno::EIO,
    }
}

/// Logs a failed request by how unexpected it is, and returns its errno.
pub(super) fn report(op: &'static str, error: &Error) -> Errno {
    match error {
        Error::Corrupt(_)
        | Error::Bug(_)
        | Error::Storage { .. }
        | Error::NotAVolume { .. }
        | Error::NewerFormat { .. } => log::error!("{op}: {}", chain(error)),
        _ => log::debug!("{op}: {error}"),
    }
    errno(error)
}

/// The error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
