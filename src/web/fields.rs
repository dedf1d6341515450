//! What a form or a query says, by name. Values are bytes.

use super::escaped::decoded;

/// The fields of a form (application/x-www-form-urlencoded), in their order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Fields(Vec<(String, Vec<u8>)>);

impl Fields {
    /// Those of a text, without what is broken.
    pub(super) fn parse(text: &str) -> Self {
        let parts = text.split('&').filter(|part| !part.is_empty());
        let fields = parts.filter_map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let plain = |text: &str| decoded(&text.replace('+', " "));
            let name = String::from_utf8(plain(name)?).ok()?;
            Some((name, plain(value)?))
        });
        Self(fields.collect())
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

    /// The same as a number.
    pub(super) fn number(&self, name: &str) -> Option<usize> {
        self.text(name)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
