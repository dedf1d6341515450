//! What the command line may say: a verb, and the options of all.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use super::verbs::{
    check, clone, completions, cp, create, df, diff, docker, doctor, export, gc, import, inspect,
    log, ls, man, metrics, mount, prune, pull, push, receive, remote, rename, resize, restore,
    restore_volume, rm, rollback, schedule, send, serve, set, snapshot, sync, top, umount, upgrade,
    web,
};

/// A volume filesystem for containers.
///
/// A volume is a directory that holds content-addressed chunks and a database. `cask mount` shows it
/// as an ordinary filesystem, at as many places as you like.
#[derive(Debug, Parser)]
#[command(name = "cask", version, max_term_width = 100)]
pub(super) struct Arguments {
    /// Where named volumes lie
    ///
    /// Otherwise $CASK_ROOT, otherwise /var/lib/cask for root and $XDG_DATA_HOME/cask
    /// (~/.local/share/cask) for others.
    #[arg(long, value_name = "DIR", global = true)]
    pub(super) root: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Create(create::Arguments),
    #[command(visible_alias = "list")]
    Ls(ls::Arguments),
    Inspect(inspect::Arguments),
    Log(log::Arguments),
    Mount(mount::Arguments),
    #[command(visible_alias = "unmount")]
    Umount(umount::Arguments),
    Rm(rm::Arguments),
    RestoreVolume(restore_volume::Arguments),
    Rename(rename::Arguments),
    Set(set::Arguments),
    Resize(resize::Arguments),
    Sync(sync::Arguments),
    Gc(gc::Arguments),
    Check(check::Arguments),
    Df(df::Arguments),
    Stats(df::StatsArguments),
    Metrics(metrics::Arguments),
    Prune(prune::Arguments),
    Snapshot(snapshot::Arguments),
    Schedule(schedule::Arguments),
    Diff(diff::Arguments),
    Clone(clone::Arguments),
    Rollback(rollback::Arguments),
    Cp(cp::Arguments),
    Restore(restore::Arguments),
    Export(export::Arguments),
    Import(import::Arguments),
    Remote(remote::Arguments),
    Push(push::Arguments),
    Pull(pull::Arguments),
    Send(send::Arguments),
    Receive(receive::Arguments),
    Docker(docker::Arguments),
    Top(top::Arguments),
    Web(web::Arguments),
    Doctor(doctor::Arguments),
    Upgrade(upgrade::Arguments),
    Completions(completions::Arguments),
    Man(man::Arguments),
    #[command(hide = true)]
    Keep(serve::Arguments),
    #[command(hide = true)]
    Serve(serve::Arguments),
    #[command(hide = true)]
    Poke(serve::Poke),
    #[command(hide = true)]
    Buffer(serve::Buffer),
    #[command(hide = true)]
    FlushFiles,
    #[command(hide = true)]
    Afterwards(snapshot::AfterwardsArguments),
}
