//! SQL text whose column lists are filled in from `schema::columns` while cask is compiled.
//!
//! `sql!("INSERT INTO xattr ({xattr}) VALUES ({xattr params 1})")` is a `&'static str`. In braces stand a table, perhaps
//! behind the name that the query gives it (`{i.inode}`), which columns (`-born`: not this one; `hash..sums`: from one to the
//! other), and what is wanted of them:
//!
//! | form | what it becomes |
//! | --- | --- |
//! | `{xattr}` | `ino, name, born, value` |
//! | `{x.xattr -born}` | `x.ino, x.name, x.value` |
//! | `{xattr name..value}` | `name, born, value` |
//! | `{xattr params 3}` | `?3, ?4, ?5, ?6` |
//! | `{xattr -ino -name sets 3}` | `born = ?3, value = ?4` |
//! | `{xattr count}` | `4` |
//! | `{xattr head}`, `{xattr past}` | the columns as `CREATE TABLE` declares them, in the head and in the history |
//! | `{inode nonsense}` | whether a row holds a value that no cask writes |

use super::columns::{Column, Table, table};

/// A text, of which the first `N` bytes are kept. `Text<0>` measures.
pub(in crate::meta) struct Text<const N: usize> {
    bytes: [u8; N],
    pub(in crate::meta) len: usize,
}

/// What is wanted of the columns.
#[derive(Clone, Copy)]
enum Form {
    Names,
    Params(usize),
    Sets(usize),
    Count,
    Head,
    Past,
    Nonsense,
}

impl<const N: usize> Text<N> {
    const fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
        }
    }

    pub(in crate::meta) const fn as_str(&self) -> &str {
        match std::str::from_utf8(&self.bytes) {
            Ok(text) => text,
            Err(_) => panic!("it is made of texts"),
        }
    }

    const fn push(&mut self, bytes: &[u8]) {
        let mut i = 0;
        while i < bytes.len() {
            if self.len < N {
                self.bytes[self.len] = bytes[i];
            }
            self.len += 1;
            i += 1;
        }
    }

    const fn push_number(&mut self, number: usize) {
        if number >= 10 {
            self.push_number(number / 10);
        }
        self.push(&[b"0123456789"[number % 10]]);
    }

    /// One column; `nth` counts those before it.
    const fn push_column(&mut self, alias: &[u8], column: &Column, nth: usize, form: Form) {
        match form {
            Form::Count => {}
            Form::Params(first) => {
                self.push(b"?");
                self.push_number(first + nth);
            }
            Form::Names => {
                self.push(alias);
                self.push(column.name.as_bytes());
            }
            Form::Sets(first) => {
                self.push(column.name.as_bytes());
                self.push(b" = ?");
                self.push_number(first + nth);
            }
            Form::Head => self.push_declared(column, column.head, column.check),
            Form::Past => self.push_declared(column, column.past, ""),
            Form::Nonsense => {
                self.push(column.name.as_bytes());
                self.push(b" ");
                self.push(column.nonsense.as_bytes());
            }
        }
    }

    const fn push_declared(&mut self, column: &Column, declared: &str, check: &str) {
        self.push(column.name.as_bytes());
        self.push(b" ");
        self.push(declared.as_bytes());
        if !check.is_empty() {
            self.push(b" CHECK (");
            self.push(check.as_bytes());
            self.push(b")");
        }
    }

    /// What stands in braces.
    const fn push_list(&mut self, list: &[u8]) {
        let (name, rest) = word(list);
        let (alias, name) = alias_of(name);
        let (table, (choice, form)) = (table(name), form_of(rest));
        let (mut line, mut at, mut nth) = (0, 0, 0);
        while line < table.lines.len() {
            let (columns, mut i, mut begins_line) = (table.lines[line], 0, true);
            while i < columns.len() {
                let (column, is_chosen) = (&columns[i], is_chosen(table, at, choice));
                (i, at) = (i + 1, at + 1);
                if !is_chosen || !column.is_listed(form) {
                    continue;
                }
                if nth > 0 {
                    self.push(form.between(begins_line));
                }
                self.push_column(alias, column, nth, form);
                nth += 1;
                begins_line = false;
            }
            line += 1;
        }
        if matches!(form, Form::Count) {
            self.push_number(nth);
        }
    }
}

impl Form {
    /// What stands between two columns. A declaration is stored as it is written, so it keeps its lines.
    const fn between(self, begins_line: bool) -> &'static [u8] {
        match self {
            Self::Count => b"",
            Self::Head | Self::Past if begins_line => b",\n        ",
            Self::Nonsense => b" OR ",
            _ => b", ",
        }
    }
}

impl Column {
    /// Whether a list of this form has the column, if it is chosen.
    const fn is_listed(&self, form: Form) -> bool {
        let is_told = !matches!(form, Form::Nonsense) || !self.nonsense.is_empty();
        !self.is_head_only && is_told
    }
}

/// Fills in the column lists.
pub(in crate::meta) const fn fill<const N: usize>(template: &str) -> Text<N> {
    let (mut text, mut rest) = (Text::new(), template.as_bytes());
    while !rest.is_empty() {
        let (plain, behind) = rest.split_at(find(rest, b'{'));
        text.push(plain);
        rest = behind;
        if let Some((_, behind)) = rest.split_first() {
            let (list, behind) = behind.split_at(find(behind, b'}'));
            text.push_list(list);
            rest = match behind.split_first() {
                Some((_, behind)) => behind,
                None => panic!("a brace is not closed"),
            };
        }
    }
    text
}

/// Where `byte` is, or the length.
const fn find(bytes: &[u8], byte: u8) -> usize {
    let mut i = 0;
    while i < bytes.len() && bytes[i] != byte {
        i += 1;
    }
    i
}

/// The first word, and what follows it.
const fn word(bytes: &[u8]) -> (&[u8], &[u8]) {
    let (word, rest) = bytes.split_at(find(bytes, b' '));
    match rest.split_first() {
        Some((_, rest)) => (word, rest),
        None => (word, rest),
    }
}

/// `i.inode`: the name that a query gives the table, with its dot, and the table.
const fn alias_of(name: &[u8]) -> (&[u8], &[u8]) {
    let dot = find(name, b'.');
    if dot == name.len() {
        return (b"", name);
    }
    name.split_at(dot + 1)
}

/// What follows the table's name: the words that choose columns, and the form.
const fn form_of(words: &[u8]) -> (&[u8], Form) {
    let mut rest = words;
    while !rest.is_empty() && (rest[0] == b'-' || has_dot(word(rest).0)) {
        rest = word(rest).1;
    }
    let (choice, _) = words.split_at(words.len() - rest.len());
    let (form, first) = word(rest);
    let form = match form {
        b"" => Form::Names,
        b"params" => Form::Params(number(first)),
        b"sets" => Form::Sets(number(first)),
        b"count" => Form::Count,
        b"head" => Form::Head,
        b"past" => Form::Past,
        b"nonsense" => Form::Nonsense,
        _ => panic!("there is no such form"),
    };
    (choice, form)
}

const fn number(digits: &[u8]) -> usize {
    assert!(!digits.is_empty(), "the first parameter is not told");
    let (mut number, mut i) = (0, 0);
    while i < digits.len() {
        assert!(digits[i].is_ascii_digit(), "it is no number");
        number = number * 10 + (digits[i] - b'0') as usize;
        i += 1;
    }
    number
}

const fn has_dot(word: &[u8]) -> bool {
    find(word, b'.') < word.len()
}

/// Whether the words choose the column at `at`.
const fn is_chosen(table: &Table, at: usize, words: &[u8]) -> bool {
    let mut rest = words;
    while !rest.is_empty() {
        let (one, behind) = word(rest);
        rest = behind;
        let is_chosen = if has_dot(one) {
            let (from, to) = one.split_at(find(one, b'.'));
            let (_, to) = to.split_at(2);
            position(table, from) <= at && at <= position(table, to)
        } else {
            let (_, left_out) = one.split_at(1);
            position(table, left_out) != at
        };
        if !is_chosen {
            return false;
        }
    }
    true
}

const fn position(table: &Table, column: &[u8]) -> usize {
    match table.find(column) {
        Some(at) => at,
        None => panic!("there is no such column"),
    }
}

/// SQL text with its column lists filled in: a `&'static str`. Takes what `concat!` takes.
macro_rules! sql {
    ($($part:tt)+) => {{
        const TEMPLATE: &str = concat!($($part)+);
        const LEN: usize = $crate::meta::schema::text::fill::<0>(TEMPLATE).len;
        const TEXT: &$crate::meta::schema::text::Text<LEN> =
            &$crate::meta::schema::text::fill::<LEN>(TEMPLATE);
        const SQL: &str = TEXT.as_str();
        SQL
    }};
}
pub(in crate::meta) use sql;

#[cfg(test)]
mod tests {
    #[test]
    fn lists_are_filled_in() {
        const KEEP: &str = sql!("INTO xattr_past ({xattr}, died) SELECT {x.xattr -born}, ?3 FROM");
        let kept =
            "INTO xattr_past (ino, name, born, value, died) SELECT x.ino, x.name, x.value, ?3 FROM";
        assert_eq!(KEEP, kept);
        assert_eq!(
            sql!("{chunk segment..stored_len}"),
            "segment, off, len, stored_len"
        );
        assert_eq!(sql!("({xattr params 9})"), "(?9, ?10, ?11, ?12)");
        let set = sql!("SET {xattr -ino -name sets 3} WHERE n = ", "?{xattr count}");
        assert_eq!(set, "SET born = ?3, value = ?4 WHERE n = ?4");
        assert_eq!(
            sql!("({extent head})").lines().count(),
            2,
            "as the schema has it"
        );
        assert!(
            sql!("{chunk nonsense}")
                .starts_with("segment NOT BETWEEN 0 AND 4294967295 OR off < 0 OR ")
        );
    }
}
