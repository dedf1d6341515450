//! `docs/cli.md`, written from the definitions of the commands.

use clap::{Arg, Command, CommandFactory};

use super::command::Arguments;

const HEAD: &str = "\
# The cask command line

<!-- Generated from src/cli. To renew it: CASK_BLESS=1 cargo test --test cli -->

Data goes to standard output, everything else to standard error. A volume is named by its name in the
root, or, with a `/` in the argument, by its directory. `NAME@SNAP` is a snapshot of it; without `@SNAP`
the volume as it is now is meant.

## Exit codes

| code | meaning |
| --- | --- |
| 0 | done |
| 1 | failed |
| 2 | the command line makes no sense |
| 3 | no such volume or snapshot |
| 4 | exists already |
| 5 | in use, held or protected |
| 6 | the volume is damaged |
| 141 | nobody reads what `cask export` writes any more |

An error is one line: `cask: ` what, on which object, why; what to do next.

## Mounting with mount(8) and /etc/fstab

With a link to `cask` as `/sbin/mount.fuse.cask`, `mount -t fuse.cask NAME|DIR MOUNTPOINT` works, and so do
`-o remount,ro`, which changes that mount alone, and lines such as

```
db  /mnt/db  fuse.cask  defaults,nosuid,nofail  0  0
```

in `/etc/fstab`. umount(8) works as well as `cask umount`, but returns before the volume is closed; the next
`cask mount` waits for that. `umount -f` ends the connection of every mount of the volume: don't.
";

/// The text of `docs/cli.md`.
#[must_use]
pub fn reference() -> String {
    let mut program = Arguments::command();
    program.build();
    let mut text = HEAD.to_owned();
    text.push_str("\n## Options of every command\n\n");
    for option in options(&program).filter(|option| option.is_global_set()) {
        text.push_str(&describe(option));
    }
    for command in program
        .get_subcommands()
        .filter(|c| !c.is_hide_set() && c.get_name() != "help")
    {
        text.push_str(&section(command, command.get_name()));
        for below in command.get_subcommands().filter(|c| c.get_name() != "help") {
            let name = format!("{} {}", command.get_name(), below.get_name());
            text.push_str(&section(below, &name));
        }
    }
    text
}

fn section(command: &Command, name: &str) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let about = command.get_long_about().or_else(|| command.get_about());
    let about = about.map(ToString::to_string).unwrap_or_default();
    let mut text = format!("\n## cask {name}\n\n```\n{usage}\n```\n\n{about}\n\n");
    let aliases: Vec<&str> = command.get_visible_aliases().collect();
    if !aliases.is_empty() {
        text.push_str(&format!("Also: `{}`\n\n", aliases.join("`, `")));
    }
    for option in options(command).filter(|option| !option.is_global_set()) {
        text.push_str(&describe(option));
    }
    if let Some(after) = command.get_after_long_help() {
        text.push_str(&format!("\n{after}\n"));
    }
    text
}

fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    let is_own = |arg: &&Arg| !matches!(arg.get_id().as_str(), "help" | "version");
    command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .filter(is_own)
}

fn describe(arg: &Arg) -> String {
    let help = arg.get_long_help().or_else(|| arg.get_help());
    let help = help.map(ToString::to_string).unwrap_or_default();
    let help = help.replace("\n\n", "\n\n  ");
    let mut text = format!("- `{}`: {help}", call(arg));
    let defaults: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|v| v.to_string_lossy())
        .collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        text.push_str(&format!(" (default: {})", defaults.join(",")));
    }
    let possible: Vec<_> = arg
        .get_possible_values()
        .iter()
        .map(|v| v.get_name().to_owned())
        .collect();
    if !possible.is_empty() && arg.get_action().takes_values() {
        text.push_str(&format!(" ({})", possible.join(", ")));
    }
    text.push('\n');
    text
}

fn call(arg: &Arg) -> String {
    let value = arg
        .get_value_names()
        .into_iter()
        .flatten()
        .map(ToString::to_string);
    let value = value.collect::<Vec<_>>().join(" ");
    let names = [
        arg.get_short().map(|short| format!("-{short}")),
        arg.get_long().map(|long| format!("--{long}")),
    ];
    let names = names.into_iter().flatten().collect::<Vec<_>>().join(", ");
    match (names.as_str(), arg.get_action().takes_values()) {
        ("", _) => value,
        (_, true) => format!("{names} {value}"),
        (_, false) => names,
    }
}
