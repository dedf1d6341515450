//! Figures, times and names in words.

/// A number of bytes for reading: three figures and a binary unit.
pub(crate) fn human_bytes(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let mut unit = 0;
    let mut scale = 1_u64;
    while unit + 1 < UNITS.len() && bytes / scale >= 1024 {
        scale = scale.saturating_mul(1024);
        unit += 1;
    }
    let whole = bytes / scale;
    // In 128 bits: ten times an exbibyte does not fit in 64.
    let tenth = u128::from(bytes % scale) * 10 / u128::from(scale);
    if unit == 0 || whole >= 100 {
        return format!("{whole}{}", UNITS[unit]);
    }
    format!("{whole}.{tenth}{}", UNITS[unit])
}

/// How long ago an RFC 3339 time is, as Docker says it; a text that is none as it is.
pub(crate) fn ago(time: &str) -> String {
    let now = jiff::Timestamp::now();
    match time.parse::<jiff::Timestamp>() {
        Ok(then) => format!("{} ago", human_seconds(now.duration_since(then).as_secs())),
        Err(_) => time.to_owned(),
    }
}

/// A length of time as Docker says it (`HumanDuration` of github.com/docker/go-units): rounded down, but hours to the
/// nearest. A clock that was set back makes it less than a second.
fn human_seconds(seconds: i64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    let counted = |count: i64, unit: &str| format!("{count} {unit}");
    match () {
        () if seconds < 1 => "Less than a second".to_owned(),
        () if seconds == 1 => "1 second".to_owned(),
        () if seconds < 60 => counted(seconds, "seconds"),
        () if minutes == 1 => "About a minute".to_owned(),
        () if minutes < 60 => counted(minutes, "minutes"),
        () if hours == 1 => "About an hour".to_owned(),
        () if hours < 48 => counted(hours, "hours"),
        () if hours < 24 * 7 * 2 => counted(hours / 24, "days"),
        () if hours < 24 * 30 * 2 => counted(hours / 24 / 7, "weeks"),
        () if hours < 24 * 365 * 2 => counted(hours / 24 / 30, "months"),
        () => counted(seconds / 3600 / 24 / 365, "years"),
    }
}

/// Bytes as text on one line, whatever is in them: what is no text, a control character, or what `is_unseen` says of the
/// others is escaped.
pub(crate) fn one_line(bytes: &[u8], is_unseen: impl Fn(char) -> bool) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\\' => text.push_str("\\\\"),
                char if char.is_control() => text.extend(char.escape_debug()),
                char if is_unseen(char) => text.extend(char.escape_unicode()),
                char => text.push(char),
            }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// A sentence on one line, whatever names are in it: control characters, which terminals obey, are escaped. A backslash
/// stays as it is, so that what was escaped before is not once more.
pub(crate) fn harmless(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            char if char.is_control() => shown.extend(char.escape_debug()),
            char => shown.push(char),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_docker_tells_them() {
        const HOUR: i64 = 3600;
        const DAY: i64 = 24 * HOUR;
        for (seconds, text) in [
            (-5, "Less than a second"),
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (119, "About a minute"),
            (180, "3 minutes"),
            (HOUR - 1, "59 minutes"),
            (HOUR, "About an hour"),
            (HOUR + HOUR / 2 - 1, "About an hour"),
            (HOUR + HOUR / 2, "2 hours"),
            (2 * DAY - HOUR, "47 hours"),
            (2 * DAY, "2 days"),
            (13 * DAY, "13 days"),
            (14 * DAY, "2 weeks"),
            (59 * DAY, "8 weeks"),
            (60 * DAY, "2 months"),
            (729 * DAY, "24 months"),
            (730 * DAY, "2 years"),
        ] {
            assert_eq!(human_seconds(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn what_is_no_time_is_told_as_it_is() {
        assert_eq!(ago("someday"), "someday");
        assert!(ago("2020-01-01T00:00:00Z").ends_with(" years ago"));
    }

    #[test]
    fn a_sentence_holds_nothing_that_a_terminal_obeys() {
        for (text, shown) in [
            ("no volume \"ä\\n\"", "no volume \"ä\\n\""),
            ("a\nb\r\t\u{7f}", "a\\nb\\r\\t\\u{7f}"),
            ("\u{1b}[2J\u{9b}31m", "\\u{1b}[2J\\u{9b}31m"),
        ] {
            assert_eq!(harmless(text), shown);
        }
    }

    #[test]
    fn bytes_are_readable() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.0KiB"),
            (1536, "1.5KiB"),
            (120 * 1024 * 1024, "120MiB"),
            (u64::MAX, "15.9EiB"),
        ] {
            assert_eq!(human_bytes(bytes), text);
        }
    }
}
