//! How the command line's parser takes what names a volume or a state of one.

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::commands::locate::VolumeRef;
use crate::commands::state_ref::{AnySnapshot, AnyState, SnapshotRef, StateRef};

macro_rules! parsers {
    ($($name:ident),*) => {
        $(impl $name {
            /// [`Self::parse`] of a whole argument.
            pub(in crate::cli) fn parser() -> impl TypedValueParser<Value = Self> {
                OsStringValueParser::new().try_map(|text| Self::parse(&text))
            }
        })*
    };
}

parsers!(VolumeRef, StateRef, SnapshotRef, AnyState, AnySnapshot);
