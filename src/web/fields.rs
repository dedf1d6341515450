//! What a form or a query says, by name. Values are bytes.

use std::collections::BTreeSet;

use crate::commands::{CommandError, Kind, Result};

use super::escaped::decoded;

/// The fields of a form (application/x-www-form-urlencoded), in their order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, Vec<u8>)>);

impl Fields {
    /// Those of a query, without what is broken.
    pub(super) fn parse(text: &str) -> Self {
        let parts = text.split('&').filter(|part| !part.is_empty());
        Self(parts.filter_map(field).collect())
    }

    /// Those of a form; nothing where a part of it is broken, or there twice: what is missing would count as left empty.
    pub(super) fn of_form(text: &str) -> Option<Self> {
        let parts = text.split('&').filter(|part| !part.is_empty());
        let fields = parts.map(field).collect::<Option<Vec<_>>>()?;
        let names: BTreeSet<_> = fields.iter().map(|(name, _)| name).collect();
        (names.len() == fields.len()).then_some(Self(fields))
    }

    /// Whether there is such a field, be it empty.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(own, _)| own == name)
    }

    /// The value of a field; nothing when it is not there, or empty.
    pub(super) fn bytes(&self, name: &str) -> Option<&[u8]> {
        let found = self.0.iter().find(|(own, _)| own == name);
        found
            .map(|(_, value)| value.as_slice())
            .filter(|value| !value.is_empty())
    }

    /// The same as text; nothing when it is none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.bytes(name)?).ok()
    }

    /// The same, where bytes that are no text are not the same as none.
    ///
    /// # Errors
    /// When there are such.
    pub(super) fn text_or_none(&self, name: &str) -> Result<Option<&str>> {
        match (self.bytes(name), self.text(name)) {
            (Some(_), None) => {
                let message = format!("the field \"{name}\" is no text in UTF-8");
                Err(CommandError::new(Kind::Usage, message).hint("type it anew"))
            }
            (_, text) => Ok(text),
        }
    }

    /// The same as a number.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.text(name)?.parse().ok()
    }
}

fn field(part: &str) -> Option<(String, Vec<u8>)> {
    let (name, value) = part.split_once('=').unwrap_or((part, ""));
    let plain = |text: &str| decoded(&text.replace('+', " "));
    let name = String::from_utf8(plain(name)?).ok()?;
    Some((name, plain(value)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_form_is_none() {
        let form = Fields::of_form("a=1&b=").unwrap();
        assert!(form.has("b") && !form.has("c"));
        for broken in ["a=1&b=%4", "%zz=1", "a=%ff&%ff=1", "a=1&a=2", "a=&b=&a="] {
            assert_eq!(Fields::of_form(broken), None, "{broken}");
        }
    }

    #[test]
    fn fields_are_bytes_by_name() {
        let fields = Fields::parse("a=1+2&b=%ff&&c=&d&broken=%4&a=3");
        assert_eq!(fields.text("a"), Some("1 2"));
        assert_eq!(fields.bytes("b"), Some(b"\xff".as_slice()));
        assert_eq!((fields.text("b"), fields.number("a")), (None, None));
        for none in ["c", "d", "broken", "e"] {
            assert_eq!(fields.bytes(none), None, "{none}");
        }
    }
}
