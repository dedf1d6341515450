//! What a process did to the files below a directory, in order, as strace saw it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// A system call that had its effect.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// A name that was made or opened; `truncates` if what was there went.
    Open {
        path: PathBuf,
        creates: bool,
        truncates: bool,
    },
    Write {
        path: PathBuf,
        at: u64,
        bytes: Vec<u8>,
    },
    Truncate {
        path: PathBuf,
        len: u64,
    },
    /// The file, or the directory, is durable as it was at event `since`.
    Sync {
        path: PathBuf,
        since: usize,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Link {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    /// What the worker said on its standard output.
    Said {
        text: String,
    },
}

/// Parses what `strace -f -y -x` wrote.
pub(crate) fn parse(log: &str, dir: &Path) -> Vec<Event> {
    let mut parser = Parser {
        dir,
        begun: HashMap::new(),
        appends: HashMap::new(),
        events: Vec::new(),
    };
    for line in log.lines() {
        parser.line(line);
    }
    parser.events
}

struct Parser<'a> {
    dir: &'a Path,
    /// By thread: the beginning of a call that has not returned, and how many events there were then.
    begun: HashMap<String, (String, usize)>,
    /// Lengths of files that are appended to.
    appends: HashMap<PathBuf, u64>,
    events: Vec<Event>,
}

impl Parser<'_> {
    fn line(&mut self, line: &str) {
        let Some((thread, rest)) = line.split_once(' ') else {
            return;
        };
        let rest = rest.trim_start();
        if let Some(begun) = rest.strip_suffix(" <unfinished ...>") {
            let begun = (begun.to_owned(), self.events.len());
            self.begun.insert(thread.to_owned(), begun);
        } else if let Some(resumed) = rest.strip_prefix("<... ") {
            let Some((begun, since)) = self.begun.remove(thread) else {
                return;
            };
            let Some((_, end)) = resumed.split_once(" resumed>") else {
                return;
            };
            self.call(&format!("{begun}{end}"), since);
        } else {
            let since = self.events.len();
            self.call(rest, since);
        }
    }

    fn call(&mut self, text: &str, since: usize) {
        let Some((call, result)) = text.rsplit_once(" = ") else {
            return;
        };
        if result.starts_with('-') || result.starts_with('?') {
            return;
        }
        let Some((name, arguments)) = call.split_once('(') else {
            return;
        };
        let arguments = arguments.trim_end().strip_suffix(')').unwrap_or(arguments);
        if let Some(event) = self.event(name, arguments, result, since) {
            self.events.push(event);
        }
    }

    fn event(&mut self, name: &str, arguments: &str, result: &str, since: usize) -> Option<Event> {
        let strings = strings(arguments);
        let within = |path: PathBuf| path.starts_with(self.dir).then_some(path);
        match name {
            "openat" | "open" | "creat" => {
                let path = within(descriptor(result)?)?;
                Some(Event::Open {
                    path,
                    creates: arguments.contains("O_CREAT"),
                    truncates: arguments.contains("O_TRUNC"),
                })
            }
            "write" if arguments.starts_with("1<") => Some(Event::Said {
                text: String::from_utf8_lossy(strings.first()?).into_owned(),
            }),
            "write" => {
                let path = within(descriptor(arguments)?)?;
                let bytes = strings.into_iter().next()?;
                let end = self.appends.entry(path.clone()).or_default();
                let at = *end;
                *end += bytes.len() as u64;
                Some(Event::Write { path, at, bytes })
            }
            "pwrite64" | "pwritev" | "pwritev2" => {
                let path = within(descriptor(arguments)?)?;
                let at = last_number(arguments, name)?;
                let bytes = strings.concat();
                let end = self.appends.entry(path.clone()).or_default();
                *end = (*end).max(at + bytes.len() as u64);
                Some(Event::Write { path, at, bytes })
            }
            "ftruncate" => {
                let path = within(descriptor(arguments)?)?;
                let len = last_number(arguments, name)?;
                self.appends.insert(path.clone(), len);
                Some(Event::Truncate { path, len })
            }
            "fsync" | "fdatasync" => {
                let path = within(descriptor(arguments)?)?;
                Some(Event::Sync { path, since })
            }
            "rename" | "renameat" | "renameat2" => Some(Event::Rename {
                from: within(path_of(&strings, 0)?)?,
                to: path_of(&strings, 1)?,
            }),
            "link" | "linkat" => Some(Event::Link {
                from: within(path_of(&strings, 0)?)?,
                to: path_of(&strings, 1)?,
            }),
            "unlink" | "unlinkat" | "rmdir" => Some(Event::Remove {
                path: within(path_of(&strings, 0)?)?,
            }),
            _ => None,
        }
    }
}

fn path_of(strings: &[Vec<u8>], index: usize) -> Option<PathBuf> {
    Some(PathBuf::from(
        String::from_utf8(strings.get(index)?.clone()).ok()?,
    ))
}

/// The path of the first descriptor, as `-y` shows it: `5</path>`.
fn descriptor(text: &str) -> Option<PathBuf> {
    let (number, rest) = text.trim_start().split_once('<')?;
    number.trim().parse::<u32>().ok()?;
    let (path, _) = rest.split_once('>')?;
    Some(PathBuf::from(path))
}

/// The offset or length behind the last comma; of `pwritev2` flags follow it.
fn last_number(arguments: &str, name: &str) -> Option<u64> {
    let mut fields = arguments.rsplit(", ");
    if name == "pwritev2" {
        fields.next();
    }
    fields.next()?.trim().parse().ok()
}

/// All strings in the arguments, unescaped.
fn strings(arguments: &str) -> Vec<Vec<u8>> {
    let bytes = arguments.as_bytes();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        if bytes[at] != b'"' {
            at += 1;
            continue;
        }
        at += 1;
        let mut string = Vec::new();
        while at < bytes.len() && bytes[at] != b'"' {
            at += take(&bytes[at..], &mut string);
        }
        at += 1;
        found.push(string);
    }
    found
}

/// Takes one character of a C string; returns how long it was written.
fn take(text: &[u8], into: &mut Vec<u8>) -> usize {
    if text[0] != b'\\' {
        into.push(text[0]);
        return 1;
    }
    let simple = |byte| match byte {
        b'n' => b'\n',
        b't' => b'\t',
        b'r' => b'\r',
        b'v' => 11,
        b'f' => 12,
        b'a' => 7,
        b'b' => 8,
        other => other,
    };
    match text[1] {
        b'x' => {
            let digits = std::str::from_utf8(&text[2..4]).unwrap();
            into.push(u8::from_str_radix(digits, 16).unwrap());
            4
        }
        b'0'..=b'7' => {
            let digits = text[1..]
                .iter()
                .take(3)
                .take_while(|byte| (b'0'..=b'7').contains(*byte));
            let (mut value, mut count) = (0_u32, 1);
            for digit in digits {
                value = value * 8 + u32::from(digit - b'0');
                count += 1;
            }
            into.push(u8::try_from(value & 255).unwrap());
            count
        }
        other => {
            into.push(simple(other));
            2
        }
    }
}
