//! Called as `mount.fuse.cask`: what mount(8) runs for the type `fuse.cask`, from the command line or
//! from a line of /etc/fstab.
//!
//! Its arguments: `SOURCE TARGET [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]`.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::cli::locate::Root;
use crate::cli::options::{Action, Options, Unknown};
use crate::cli::state_ref::StateRef;
use crate::cli::verbs::mount::{Makes, MountRequest, mount};
use crate::cli::{CliError, Kind, Result, logging, remount};
use crate::transfer::Ahead;

/// What follows the name, if the program was called by such a name.
pub(super) fn arguments_of(arguments: &[OsString]) -> Option<&[OsString]> {
    let (program, rest) = arguments.split_first()?;
    let name = Path::new(program).file_name()?.to_str()?;
    matches!(name, "mount.fuse.cask" | "mount.fuse" | "mount.cask").then_some(rest)
}

pub(super) fn run(arguments: &[OsString]) -> Result<()> {
    logging::start_for_command();
    let call = Call::parse(arguments)?;
    // "sloppy" is how mount(8) says that options may be for others.
    let unknown = if call.is_sloppy {
        Unknown::Ignore
    } else {
        Unknown::Refuse
    };
    let options = Options::parse(&call.options, unknown)?;
    // After the options were parsed: mount(8)'s -f does all but the system call.
    if call.is_fake {
        return Ok(());
    }
    if options.action == Action::Remount {
        return remount::run(&call.target, &options);
    }
    let state =
        StateRef::parse(&call.source).map_err(|e| CliError::new(Kind::Usage, e.to_string()))?;
    let request = MountRequest {
        volume: &state.volume,
        snapshot: state.snapshot.as_ref(),
        mountpoint: &call.target,
        options: &options,
        makes: Makes::Nothing,
        ahead: Ahead::Refused,
    };
    mount(&request, &Root::find(None)?).map(|_| ())
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Call {
    source: OsString,
    target: PathBuf,
    options: Vec<String>,
    is_sloppy: bool,
    is_fake: bool,
}

impl Call {
    fn parse(arguments: &[OsString]) -> Result<Self> {
        let mut call = Self::default();
        let mut positional = Vec::new();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.to_str() {
                Some("-o") => call.options.push(text(value(argument, &mut rest)?)?),
                Some("-t" | "-N") => {
                    value(argument, &mut rest)?;
                }
                Some(flags) if flags.starts_with('-') && flags.len() > 1 => call.flags(flags)?,
                _ => positional.push(argument.clone()),
            }
        }
        match <[OsString; 2]>::try_from(positional) {
            Ok([source, target]) => {
                call.source = source;
                call.target = target.into();
                Ok(call)
            }
            Err(_) => Err(usage("exactly a source and a target are needed")),
        }
    }

    fn flags(&mut self, flags: &str) -> Result<()> {
        for flag in flags.chars().skip(1) {
            match flag {
                's' => self.is_sloppy = true,
                'f' => self.is_fake = true,
                // /etc/mtab is the kernel's own table by now (-n), and there is nothing more to tell (-v).
                'n' | 'v' => {}
                _ => return Err(usage(&format!("unknown flag -{flag}"))),
            }
        }
        Ok(())
    }
}

fn value<'a>(option: &OsStr, rest: &mut std::slice::Iter<'a, OsString>) -> Result<&'a OsStr> {
    let value = rest.next().map(OsString::as_os_str);
    value.ok_or_else(|| usage(&format!("{} needs a value", option.display())))
}

fn text(value: &OsStr) -> Result<String> {
    let text = value.to_str().map(str::to_owned);
    text.ok_or_else(|| usage("options must be UTF-8"))
}

fn usage(what: &str) -> CliError {
    CliError::new(Kind::Usage, what)
        .hint("usage: mount.fuse.cask SOURCE TARGET [-sfnv] [-o OPTIONS]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Call> {
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        Call::parse(&arguments)
    }

    #[test]
    fn what_mount_passes_is_understood() {
        let call = parse(&["db", "/mnt", "-sn", "-o", "rw,noexec", "-t", "fuse.cask"]).unwrap();
        assert_eq!(call.source, "db");
        assert_eq!(call.target, Path::new("/mnt"));
        assert_eq!(call.options, ["rw,noexec"]);
        assert!(call.is_sloppy && !call.is_fake);
        assert!(parse(&["db"]).is_err());
        assert!(parse(&["db", "/mnt", "-z"]).is_err());
        assert!(parse(&["db", "/mnt", "-o"]).is_err());
    }

    #[test]
    fn only_the_helpers_names_count() {
        let named = |name: &str| arguments_of(&[name.into(), "x".into()]).is_some();
        assert!(named("/sbin/mount.fuse.cask") && !named("/usr/bin/cask"));
    }
}
