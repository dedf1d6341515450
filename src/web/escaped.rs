//! Names are bytes: how they are shown, how they are part of a URL, and how a download is called after one.

use crate::commands::words::one_line;

/// As text on one line, whatever is in it: what is no text, cannot be seen, or reorders what is around it is escaped.
pub(super) fn shown(bytes: &[u8]) -> String {
    one_line(bytes, is_unseen)
}

/// Marks of direction, joiners, fillers and other characters that change what others look like, and have no look.
const fn is_unseen(char: char) -> bool {
    matches!(char,
        '\u{ad}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// As a part of a URL: of unreserved characters only (RFC 3986, 2.3).
pub(super) fn encoded(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// The bytes of a part of a URL; nothing when it is broken.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((&first, after)) = rest.split_first() {
        if first != b'%' {
            bytes.push(first);
            rest = after;
            continue;
        }
        let digits = std::str::from_utf8(after.get(..2)?).ok()?;
        let is_sign = digits.starts_with('+');
        bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| !is_sign)?);
        rest = &after[2..];
    }
    Some(bytes)
}

/// The header `Content-Disposition` of a download that is called so (RFC 6266): for old readers in ASCII, too.
pub(super) fn disposition(name: &[u8], ending: &str) -> String {
    let harmless = |char: char| match char {
        '/' | '\\' => '_',
        char if char.is_control() || is_unseen(char) => '_',
        char => char,
    };
    let text: String = String::from_utf8_lossy(name)
        .chars()
        .map(harmless)
        .collect();
    let text = text.trim_start_matches('.').to_owned() + ending;
    let is_plain =
        |char: &char| char.is_ascii_graphic() && !matches!(char, '"' | '%') || *char == ' ';
    let plain = |char: char| if is_plain(&char) { char } else { '_' };
    let ascii: String = text.chars().map(plain).collect();
    let exact = encoded(text.as_bytes());
    format!("attachment; filename=\"{ascii}\"; filename*=UTF-8''{exact}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_is_shown_on_one_line() {
        for (bytes, text) in [
            (b"a\xff\n".as_slice(), "a\\xff\\n"),
            (b"\x1b[31m\\", "\\u{1b}[31m\\\\"),
            ("\u{202e}txt.exe".as_bytes(), "\\u{202e}txt.exe"),
            (
                "\u{e4}\u{1f600}<script>".as_bytes(),
                "\u{e4}\u{1f600}<script>",
            ),
        ] {
            assert_eq!(shown(bytes), text);
        }
    }

    #[test]
    fn all_bytes_survive_a_url() {
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&encoded(&all)), Some(all));
        for broken in ["%", "%4", "%zz", "%+1"] {
            assert_eq!(decoded(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_download_is_called_after_its_file() {
        let named = disposition("\u{e4}\"\r\n/x".as_bytes(), ".tar");
        let exact = "filename*=UTF-8''%C3%A4%22___x.tar";
        assert_eq!(
            named,
            format!("attachment; filename=\"_____x.tar\"; {exact}")
        );
        assert!(disposition(b"a\xff", "").is_ascii());
    }
}
