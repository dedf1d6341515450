//! What a page says first: what was done, or why not.

use crate::types::SnapshotName;

use super::address::Action;
use super::fields::Fields;

/// What was done last, for the page that follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Done(Action, String),
    Refused(String),
}

/// What the address says that was done: an action, and the name that came of it.
pub(super) fn said(query: &Fields) -> Said {
    let all = [
        Action::Snapshot,
        Action::Clone,
        Action::Rollback,
        Action::Schedule,
    ];
    let action = query.text("done");
    let action = all.into_iter().find(|one| Some(one.word()) == action);
    // Only what is a name: the text is nobody's to choose.
    let name = query
        .text("name")
        .filter(|name| name.parse::<SnapshotName>().is_ok());
    match action {
        Some(action) => Said::Done(action, name.unwrap_or_default().to_owned()),
        None => Said::Nothing,
    }
}
