//! `cask log`.

use std::thread;
use std::time::Duration;

use crate::server::LogReader;

use crate::cli::locate::{Located, Root, VolumeRef};
use crate::cli::{CliError, Kind, Result, output};

/// How long nobody looks whether there is more.
const PAUSE: Duration = Duration::from_millis(100);

/// Show what the server of a volume has logged
///
/// There are 10 MiB of it at least, if there ever were, and 20 at most. A server in the foreground (`cask mount
/// --foreground`) logs to its terminal instead. Control characters are shown as `\u{…}`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Arguments {
    /// The volume
    #[arg(value_name = "NAME|DIR", value_parser = VolumeRef::parser())]
    volume: VolumeRef,
    /// Go on with what is added, until interrupted, or the volume is removed
    #[arg(short, long)]
    follow: bool,
    /// Begin with so many of the last lines; default: all
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
}

pub(in crate::cli) fn run(arguments: &Arguments, root: &Root) -> Result<()> {
    // A log is of most use where the volume cannot be: nothing of it is asked for but its place.
    let located = root.locate(&arguments.volume)?;
    let mut reader = LogReader::of(&located.dir);
    if !reader.is_there() {
        output::note(&format!("{located} was not mounted yet: there is no log"));
    }
    let text = read(&mut reader, &located)?;
    output::part(&shown(last_lines(&text, arguments.lines)))?;
    while arguments.follow && located.dir.exists() {
        thread::sleep(PAUSE);
        let more = read(&mut reader, &located)?;
        if !more.is_empty() {
            output::part(&shown(&more))?;
        }
    }
    Ok(())
}

fn read(reader: &mut LogReader, located: &Located) -> Result<Vec<u8>> {
    reader.read().map_err(|error| {
        CliError::new(Kind::Failed, format!("cannot read the log of {located}"))
            .because(error)
            .hint("run as the volume's owner")
    })
}

/// The last `count` lines, or all.
fn last_lines(text: &[u8], count: Option<usize>) -> &[u8] {
    let Some(count) = count else { return text };
    let before_end = text.strip_suffix(b"\n").unwrap_or(text).len();
    let mut ends = (0..before_end).rev().filter(|&at| text[at] == b'\n');
    let start = match count {
        0 => text.len(),
        _ => ends.nth(count - 1).map_or(0, |at| at + 1),
    };
    &text[start..]
}

/// What programs in containers chose is in it, such as names: no terminal shall obey that.
fn shown(text: &[u8]) -> String {
    let mut shown = String::with_capacity(text.len());
    for char in String::from_utf8_lossy(text).chars() {
        match char {
            '\n' | '\t' => shown.push(char),
            _ if char.is_control() => shown.extend(char.escape_unicode()),
            _ => shown.push(char),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_whole() {
        for (text, count, last) in [
            ("a\nb\nc\n", None, "a\nb\nc\n"),
            ("a\nb\nc\n", Some(2), "b\nc\n"),
            ("a\nb\nc\n", Some(3), "a\nb\nc\n"),
            ("a\nb\nc\n", Some(9), "a\nb\nc\n"),
            ("a\nb\nc\n", Some(0), ""),
            ("a\nb\nhalf", Some(1), "half"),
            ("", Some(1), ""),
        ] {
            assert_eq!(
                last_lines(text.as_bytes(), count),
                last.as_bytes(),
                "{text:?}"
            );
        }
    }

    #[test]
    fn a_terminal_obeys_nothing_in_it() {
        assert_eq!(shown(b"a\x1b[2J\tb\xff\n"), "a\\u{1b}[2J\tb\u{fffd}\n");
    }
}
