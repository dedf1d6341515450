//! What `ls --filter` understands.

use crate::cli::view::View;
use crate::server::VolumeStatus;

/// A condition that a volume meets or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filter {
    /// The name contains this.
    Name(String),
    /// There is a label of this key.
    Label(String),
    /// There is this label.
    LabelValue(String, String),
    /// It is mounted, or it is not.
    Mounted(bool),
}

impl Filter {
    /// Parses `KEY=VALUE`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some(("name", part)) => Ok(Self::Name(part.to_owned())),
            Some(("label", label)) if !label.is_empty() => Ok(match label.split_once('=') {
                Some((key, value)) => Self::LabelValue(key.to_owned(), value.to_owned()),
                None => Self::Label(label.to_owned()),
            }),
            Some(("mounted", "true")) => Ok(Self::Mounted(true)),
            Some(("mounted", "false")) => Ok(Self::Mounted(false)),
            _ => {
                Err("filters are name=TEXT, label=KEY, label=KEY=VALUE, mounted=true|false".into())
            }
        }
    }

    /// Whether the volume meets the condition.
    pub(super) fn matches(&self, view: &View) -> bool {
        match self {
            Self::Name(part) => view.name.contains(part),
            Self::Label(key) => view.labels.contains_key(key),
            Self::LabelValue(key, value) => view.labels.get(key) == Some(value),
            Self::Mounted(wanted) => (view.status == VolumeStatus::Mounted) == *wanted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_filters_are_accepted() {
        let label = Filter::LabelValue("k".into(), "v=w".into());
        assert_eq!(Filter::parse("label=k=v=w"), Ok(label));
        assert_eq!(Filter::parse("mounted=true"), Ok(Filter::Mounted(true)));
        for bad in ["", "name", "label=", "mounted=yes", "size=3"] {
            assert!(Filter::parse(bad).is_err(), "{bad}");
        }
    }
}
