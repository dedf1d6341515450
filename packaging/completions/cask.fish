# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_cask_global_optspecs
    string join \n root= h/help V/version
end

function __fish_cask_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_cask_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_cask_using_subcommand
    set -l cmd (__fish_cask_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c cask -n "__fish_cask_needs_command" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_needs_command" -s V -l version -d 'Print version'
complete -c cask -n "__fish_cask_needs_command" -f -a "create" -d 'Create a volume and print its name'
complete -c cask -n "__fish_cask_needs_command" -f -a "ls" -d 'List the volumes of the root'
complete -c cask -n "__fish_cask_needs_command" -f -a "list" -d 'List the volumes of the root'
complete -c cask -n "__fish_cask_needs_command" -f -a "inspect" -d 'Show everything about volumes, as a JSON array'
complete -c cask -n "__fish_cask_needs_command" -f -a "log" -d 'Show what the server of a volume has logged'
complete -c cask -n "__fish_cask_needs_command" -f -a "mount" -d 'Mount a volume, or a snapshot of one; returns when the mount is usable'
complete -c cask -n "__fish_cask_needs_command" -f -a "umount" -d 'Unmount a mountpoint, or a volume or snapshot everywhere in this mount namespace'
complete -c cask -n "__fish_cask_needs_command" -f -a "unmount" -d 'Unmount a mountpoint, or a volume or snapshot everywhere in this mount namespace'
complete -c cask -n "__fish_cask_needs_command" -f -a "rm" -d 'Remove volumes and print their names'
complete -c cask -n "__fish_cask_needs_command" -f -a "restore-volume" -d 'Bring a volume back out of the trash, and print its name'
complete -c cask -n "__fish_cask_needs_command" -f -a "rename" -d 'Rename a volume that is not mounted'
complete -c cask -n "__fish_cask_needs_command" -f -a "set" -d 'Change what is recorded of a volume, mounted or not'
complete -c cask -n "__fish_cask_needs_command" -f -a "resize" -d 'Set how much a volume may hold, mounted or not'
complete -c cask -n "__fish_cask_needs_command" -f -a "sync" -d 'Make what was written to volumes durable'
complete -c cask -n "__fish_cask_needs_command" -f -a "gc" -d 'Give back the space of what was removed and overwritten, mounted or not'
complete -c cask -n "__fish_cask_needs_command" -f -a "check" -d 'Look for damage in a volume, mounted or not, and repair it if asked'
complete -c cask -n "__fish_cask_needs_command" -f -a "df" -d 'Show what volumes hold and what they take, of all volumes or of these'
complete -c cask -n "__fish_cask_needs_command" -f -a "stats" -d 'Show all that is known of what one volume holds'
complete -c cask -n "__fish_cask_needs_command" -f -a "metrics" -d 'Print what can be measured of all volumes, for Prometheus'
complete -c cask -n "__fish_cask_needs_command" -f -a "prune" -d 'Remove what nobody needs any more, and tell how much space that gives back'
complete -c cask -n "__fish_cask_needs_command" -f -a "snapshot" -d 'Take a snapshot of a volume, mounted or not, and print its name'
complete -c cask -n "__fish_cask_needs_command" -f -a "schedule" -d 'Take the snapshots that are due by the schedules of volumes'
complete -c cask -n "__fish_cask_needs_command" -f -a "diff" -d 'Show what changed between two states of a volume'
complete -c cask -n "__fish_cask_needs_command" -f -a "clone" -d 'Make an independent, writable volume of a snapshot, or of a volume as it is now, and print its name'
complete -c cask -n "__fish_cask_needs_command" -f -a "rollback" -d 'Make a volume what it was at a snapshot'
complete -c cask -n "__fish_cask_needs_command" -f -a "cp" -d 'Copy a file or a directory out of a volume, or out of a snapshot, without mounting it'
complete -c cask -n "__fish_cask_needs_command" -f -a "restore" -d 'Put a file or a directory of a snapshot back in its place, in the volume as it is now'
complete -c cask -n "__fish_cask_needs_command" -f -a "export" -d 'Write a volume, or a snapshot of one, as a tar archive'
complete -c cask -n "__fish_cask_needs_command" -f -a "import" -d 'Make a volume of a tar archive or a directory, and print its name'
complete -c cask -n "__fish_cask_needs_command" -f -a "remote" -d 'Manage remotes: repositories in an object store or a directory, which volumes are pushed to and pulled from'
complete -c cask -n "__fish_cask_needs_command" -f -a "push" -d 'Send a snapshot of a volume to a remote, and print its name there'
complete -c cask -n "__fish_cask_needs_command" -f -a "pull" -d 'Make a volume of a snapshot in a remote, and print its name'
complete -c cask -n "__fish_cask_needs_command" -f -a "send" -d 'Write a snapshot of a volume to standard output, for `cask receive` on another host'
complete -c cask -n "__fish_cask_needs_command" -f -a "receive" -d 'Make a volume of what `cask send` writes, read from standard input, and print its name'
complete -c cask -n "__fish_cask_needs_command" -f -a "docker" -d 'Volumes for Docker and Podman'
complete -c cask -n "__fish_cask_needs_command" -f -a "top" -d 'Show what mounted volumes do, once a second'
complete -c cask -n "__fish_cask_needs_command" -f -a "web" -d 'Serve a page with the volumes, to look at and look after them in a browser'
complete -c cask -n "__fish_cask_needs_command" -f -a "doctor" -d 'Look for what keeps volumes from working here, and say how to mend it'
complete -c cask -n "__fish_cask_needs_command" -f -a "upgrade" -d 'Have this program serve volumes that an older one serves, while they stay mounted'
complete -c cask -n "__fish_cask_needs_command" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c cask -n "__fish_cask_needs_command" -f -a "man" -d 'Write the manual pages into a directory'
complete -c cask -n "__fish_cask_needs_command" -f -a "keep" -d 'Serve a volume, for the process at standard input'
complete -c cask -n "__fish_cask_needs_command" -f -a "serve" -d 'Serve a volume, for the process at standard input'
complete -c cask -n "__fish_cask_needs_command" -f -a "poke" -d 'Ask something of the mounts of a superblock'
complete -c cask -n "__fish_cask_needs_command" -f -a "buffer" -d 'Whether the kernel may hold what is written to the superblock of the `/dev/fuse` descriptor at standard input'
complete -c cask -n "__fish_cask_needs_command" -f -a "flush-files"
complete -c cask -n "__fish_cask_needs_command" -f -a "afterwards" -d 'Wait until standard input ends, and then have the containers go on that it names'
complete -c cask -n "__fish_cask_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cask -n "__fish_cask_using_subcommand create" -l label -d 'Attach a label; may be given more than once' -r
complete -c cask -n "__fish_cask_using_subcommand create" -l uid -d 'Owner of the root directory; default: you' -r
complete -c cask -n "__fish_cask_using_subcommand create" -l gid -d 'Group of the root directory; default: yours' -r
complete -c cask -n "__fish_cask_using_subcommand create" -l mode -d 'Permissions of the root directory, in octal' -r
complete -c cask -n "__fish_cask_using_subcommand create" -l chunk-size -d 'Where files are cut into chunks: a power of two from 4K to 1M' -r
complete -c cask -n "__fish_cask_using_subcommand create" -l size -d 'How much its files may hold: a number with K, M, G, T or P; `cask resize` changes it' -r
complete -c cask -n "__fish_cask_using_subcommand create" -l inodes -d 'How many files, directories and so on it may hold' -r
complete -c cask -n "__fish_cask_using_subcommand create" -l compress -d 'How chunks are compressed: none, lz4, zstd or zstd:LEVEL' -r
complete -c cask -n "__fish_cask_using_subcommand create" -l scrub-rate -d 'How many bytes a second the server reads again in the background to find damage: a number with K, M or G, or off' -r
complete -c cask -n "__fish_cask_using_subcommand create" -l schedule -d 'Which snapshots are taken by themselves, and how many stay: such as "hourly=24 daily=7 weekly=4 monthly=12", or off' -r
complete -c cask -n "__fish_cask_using_subcommand create" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand create" -l ephemeral -d 'Remove the volume when its last mount is gone'
complete -c cask -n "__fish_cask_using_subcommand create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand ls" -l filter -d 'Show only what matches: name=TEXT (a part of it), label=KEY, label=KEY=VALUE, mounted=true|false; may be given more than once, and all must match' -r
complete -c cask -n "__fish_cask_using_subcommand ls" -l format -d 'table, json (an object a line), or a template such as \'{{.Name}}\'' -r
complete -c cask -n "__fish_cask_using_subcommand ls" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand ls" -s q -l quiet -d 'Print names only'
complete -c cask -n "__fish_cask_using_subcommand ls" -l trash -d 'List what `cask rm --trash` put aside instead, with when each is due'
complete -c cask -n "__fish_cask_using_subcommand ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand list" -l filter -d 'Show only what matches: name=TEXT (a part of it), label=KEY, label=KEY=VALUE, mounted=true|false; may be given more than once, and all must match' -r
complete -c cask -n "__fish_cask_using_subcommand list" -l format -d 'table, json (an object a line), or a template such as \'{{.Name}}\'' -r
complete -c cask -n "__fish_cask_using_subcommand list" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand list" -s q -l quiet -d 'Print names only'
complete -c cask -n "__fish_cask_using_subcommand list" -l trash -d 'List what `cask rm --trash` put aside instead, with when each is due'
complete -c cask -n "__fish_cask_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand inspect" -l format -d 'json, or a template such as \'{{.Uuid}}\'' -r
complete -c cask -n "__fish_cask_using_subcommand inspect" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand log" -s n -l lines -d 'Begin with so many of the last lines; default: all' -r
complete -c cask -n "__fish_cask_using_subcommand log" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand log" -s f -l follow -d 'Go on with what is added, until interrupted, or the volume is removed'
complete -c cask -n "__fish_cask_using_subcommand log" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand mount" -l from -d 'Make the volume of a snapshot in a remote, of its newest without a name' -r
complete -c cask -n "__fish_cask_using_subcommand mount" -l prefetch -d 'With --from, what is fetched before it is needed: all, metadata (what files there are, not what they hold), or none (as metadata, and what is read is not kept in the volume)' -r
complete -c cask -n "__fish_cask_using_subcommand mount" -s o -d 'Options: ro, rw, nosuid, suid, nodev, dev, noexec, exec, noatime, relatime, strictatime, nodiratime, diratime, nosymfollow, symfollow; fsname=TEXT (what is shown as the source); remount (change the flags of the mount that is there, and of no other); remote_timeout=SECONDS|wait (how long a read waits for the remote that the volume fetches from, instead of 30s; counts from the next start of its server)' -r
complete -c cask -n "__fish_cask_using_subcommand mount" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand mount" -l read-only -d 'Let nothing be changed through this mount'
complete -c cask -n "__fish_cask_using_subcommand mount" -l create -d 'Create the volume and the mountpoint where they do not exist'
complete -c cask -n "__fish_cask_using_subcommand mount" -l foreground -d 'Be the volume\'s server: log to standard error, and return when the last mount is gone'
complete -c cask -n "__fish_cask_using_subcommand mount" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand umount" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand umount" -s l -l lazy -d 'Detach at once even if it is in use; the volume closes when its last user is gone'
complete -c cask -n "__fish_cask_using_subcommand umount" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand unmount" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand unmount" -s l -l lazy -d 'Detach at once even if it is in use; the volume closes when its last user is gone'
complete -c cask -n "__fish_cask_using_subcommand unmount" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand rm" -l keep -d 'How long to keep them there: a number with s, m, h, d or w' -r
complete -c cask -n "__fish_cask_using_subcommand rm" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand rm" -s f -l force -d 'Don\'t ask, and don\'t complain about volumes that do not exist'
complete -c cask -n "__fish_cask_using_subcommand rm" -l trash -d 'Put the volumes into the trash instead'
complete -c cask -n "__fish_cask_using_subcommand rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand restore-volume" -l as -d 'What to call it from now on, if not the same' -r
complete -c cask -n "__fish_cask_using_subcommand restore-volume" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand restore-volume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand rename" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand rename" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand set" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand resize" -l inodes -d 'How many files, directories and so on: a number, or none' -r
complete -c cask -n "__fish_cask_using_subcommand resize" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand resize" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand sync" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand sync" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand gc" -l format -d 'text, or json: an object a line, how far it is once a second, and at the end of each volume what was done' -r
complete -c cask -n "__fish_cask_using_subcommand gc" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand gc" -s q -l quiet -d 'Print nothing'
complete -c cask -n "__fish_cask_using_subcommand gc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand check" -l format -d 'text, or json: an object a line, how far it is once a second, and at the end what was found' -r
complete -c cask -n "__fish_cask_using_subcommand check" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand check" -l read-data -d 'Read and verify all data'
complete -c cask -n "__fish_cask_using_subcommand check" -l repair -d 'Repair what is damaged'
complete -c cask -n "__fish_cask_using_subcommand check" -s q -l quiet -d 'Print nothing but damage, and what was changed'
complete -c cask -n "__fish_cask_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand df" -l format -d 'table, json (an object a line), or a template such as \'{{.Name}}\'' -r
complete -c cask -n "__fish_cask_using_subcommand df" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand df" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand stats" -l format -d 'table, json, or a template such as \'{{.DedupRatio}}\'' -r
complete -c cask -n "__fish_cask_using_subcommand stats" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand stats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand metrics" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand metrics" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand prune" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand prune" -l dry-run -d 'Only show what would be removed'
complete -c cask -n "__fish_cask_using_subcommand prune" -s f -l force -d 'Don\'t ask'
complete -c cask -n "__fish_cask_using_subcommand prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and not __fish_seen_subcommand_from ls list rm hold release prune help" -l label -d 'A note to keep with it' -r
complete -c cask -n "__fish_cask_using_subcommand snapshot; and not __fish_seen_subcommand_from ls list rm hold release prune help" -l before -d 'Have the shell do this first; if it fails, no snapshot is taken' -r
complete -c cask -n "__fish_cask_using_subcommand snapshot; and not __fish_seen_subcommand_from ls list rm hold release prune help" -l after -d 'Have the shell do this afterwards, also after a failure' -r
complete -c cask -n "__fish_cask_using_subcommand snapshot; and not __fish_seen_subcommand_from ls list rm hold release prune help" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand snapshot; and not __fish_seen_subcommand_from ls list rm hold release prune help" -l pause -d 'Have Docker pause the containers that use the volumes meanwhile'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and not __fish_seen_subcommand_from ls list rm hold release prune help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and not __fish_seen_subcommand_from ls list rm hold release prune help" -a "ls" -d 'List the snapshots of a volume, the oldest first'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and not __fish_seen_subcommand_from ls list rm hold release prune help" -a "list" -d 'List the snapshots of a volume, the oldest first'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and not __fish_seen_subcommand_from ls list rm hold release prune help" -a "rm" -d 'Remove snapshots and print their names'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and not __fish_seen_subcommand_from ls list rm hold release prune help" -a "hold" -d 'Keep snapshots from being removed or pruned'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and not __fish_seen_subcommand_from ls list rm hold release prune help" -a "release" -d 'Let snapshots that were held be removed again'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and not __fish_seen_subcommand_from ls list rm hold release prune help" -a "prune" -d 'Remove the snapshots that no rule keeps, and print their names'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and not __fish_seen_subcommand_from ls list rm hold release prune help" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from ls" -l format -d 'table, json (an object a line), or a template such as \'{{.Name}}\'' -r
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from ls" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from ls" -s q -l quiet -d 'Print names only'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from list" -l format -d 'table, json (an object a line), or a template such as \'{{.Name}}\'' -r
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from list" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Print names only'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from rm" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from hold" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from hold" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from release" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from release" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from prune" -l keep-last -d 'Keep the last N' -r
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from prune" -l keep-hourly -d 'Keep the newest of each of the last N hours' -r
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from prune" -l keep-daily -d 'Keep the newest of each of the last N days' -r
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from prune" -l keep-weekly -d 'Keep the newest of each of the last N weeks' -r
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from prune" -l keep-monthly -d 'Keep the newest of each of the last N months' -r
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from prune" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from prune" -l dry-run -d 'Only print what would be removed'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List the snapshots of a volume, the oldest first'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Remove snapshots and print their names'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from help" -f -a "hold" -d 'Keep snapshots from being removed or pruned'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from help" -f -a "release" -d 'Let snapshots that were held be removed again'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Remove the snapshots that no rule keeps, and print their names'
complete -c cask -n "__fish_cask_using_subcommand snapshot; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cask -n "__fish_cask_using_subcommand schedule; and not __fish_seen_subcommand_from run help" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand schedule; and not __fish_seen_subcommand_from run help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand schedule; and not __fish_seen_subcommand_from run help" -f -a "run" -d 'Take what is due now, remove what no rule keeps any more, and print the names of what was taken'
complete -c cask -n "__fish_cask_using_subcommand schedule; and not __fish_seen_subcommand_from run help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cask -n "__fish_cask_using_subcommand schedule; and __fish_seen_subcommand_from run" -l at -d 'As if this were the time: RFC 3339' -r
complete -c cask -n "__fish_cask_using_subcommand schedule; and __fish_seen_subcommand_from run" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand schedule; and __fish_seen_subcommand_from run" -l if-served -d 'Only of those that are mounted'
complete -c cask -n "__fish_cask_using_subcommand schedule; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand schedule; and __fish_seen_subcommand_from help" -f -a "run" -d 'Take what is due now, remove what no rule keeps any more, and print the names of what was taken'
complete -c cask -n "__fish_cask_using_subcommand schedule; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cask -n "__fish_cask_using_subcommand diff" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand diff" -l json -d 'Print an object a line: change, path and old_path; where a path is not UTF-8, path_bytes or old_path_bytes has its bytes'
complete -c cask -n "__fish_cask_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand clone" -l prefetch -d 'Of a snapshot in a remote, what is fetched before it is needed: all, metadata or none, as with `cask mount`' -r
complete -c cask -n "__fish_cask_using_subcommand clone" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand clone" -l ephemeral -d 'Remove the new volume when its last mount is gone'
complete -c cask -n "__fish_cask_using_subcommand clone" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand rollback" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand rollback" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand cp" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand cp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand restore" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand export" -s o -l output -d 'The archive, which must not exist; otherwise it goes to standard output' -r -F
complete -c cask -n "__fish_cask_using_subcommand export" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand import" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand import" -l seal -d 'Let nobody change the volume, ever'
complete -c cask -n "__fish_cask_using_subcommand import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand remote; and not __fish_seen_subcommand_from add ls list inspect set rm check forget gc key help" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand remote; and not __fish_seen_subcommand_from add ls list inspect set rm check forget gc key help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand remote; and not __fish_seen_subcommand_from add ls list inspect set rm check forget gc key help" -f -a "add" -d 'Let this host use a repository, or make one, and print what its store can do'
complete -c cask -n "__fish_cask_using_subcommand remote; and not __fish_seen_subcommand_from add ls list inspect set rm check forget gc key help" -f -a "ls" -d 'List the remotes, or the snapshots in one'
complete -c cask -n "__fish_cask_using_subcommand remote; and not __fish_seen_subcommand_from add ls list inspect set rm check forget gc key help" -f -a "list" -d 'List the remotes, or the snapshots in one'
complete -c cask -n "__fish_cask_using_subcommand remote; and not __fish_seen_subcommand_from add ls list inspect set rm check forget gc key help" -f -a "inspect" -d 'Show what this host knows of a remote, as JSON; the store is not asked, and no secret is told'
complete -c cask -n "__fish_cask_using_subcommand remote; and not __fish_seen_subcommand_from add ls list inspect set rm check forget gc key help" -f -a "set" -d 'Change what this host knows of a remote'
complete -c cask -n "__fish_cask_using_subcommand remote; and not __fish_seen_subcommand_from add ls list inspect set rm check forget gc key help" -f -a "rm" -d 'Let this host forget a remote; what is stored there stays, what is kept of it in the cache goes'
complete -c cask -n "__fish_cask_using_subcommand remote; and not __fish_seen_subcommand_from add ls list inspect set rm check forget gc key help" -f -a "check" -d 'Verify that a repository has all that its snapshots need'
complete -c cask -n "__fish_cask_using_subcommand remote; and not __fish_seen_subcommand_from add ls list inspect set rm check forget gc key help" -f -a "forget" -d 'Remove snapshots of a volume from a repository, and print their names'
complete -c cask -n "__fish_cask_using_subcommand remote; and not __fish_seen_subcommand_from add ls list inspect set rm check forget gc key help" -f -a "gc" -d 'Remove from a repository what no snapshot needs'
complete -c cask -n "__fish_cask_using_subcommand remote; and not __fish_seen_subcommand_from add ls list inspect set rm check forget gc key help" -f -a "key" -d 'Manage what opens a repository'
complete -c cask -n "__fish_cask_using_subcommand remote; and not __fish_seen_subcommand_from add ls list inspect set rm check forget gc key help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from add" -l endpoint -d 'The URL of an S3 store that is not AWS' -r
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from add" -l region -d 'The region of the bucket' -r
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from add" -l key-file -d 'A file of at least 32 random bytes; otherwise $CASK_REMOTE_KEY_FILE' -r -F
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from add" -l passphrase-file -d 'A file whose first line is the passphrase' -r -F
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from add" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from add" -l create -d 'Make a new repository there'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from ls" -l format -d 'table, json (an object a line), or a template such as \'{{.Name}}\'' -r
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from ls" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from list" -l format -d 'table, json (an object a line), or a template such as \'{{.Name}}\'' -r
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from list" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from inspect" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from inspect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from set" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from rm" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from check" -l format -d 'text, or json: an object a line, how far it is once a second, and at the end what was found' -r
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from check" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from check" -l read-data -d 'Read all packs'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from forget" -l keep-last -d 'Keep the last N' -r
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from forget" -l keep-hourly -d 'Keep the newest of each of the last N hours' -r
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from forget" -l keep-daily -d 'Keep the newest of each of the last N days' -r
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from forget" -l keep-weekly -d 'Keep the newest of each of the last N weeks' -r
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from forget" -l keep-monthly -d 'Keep the newest of each of the last N months' -r
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from forget" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from forget" -l dry-run -d 'Only print what would be removed'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from forget" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from gc" -l format -d 'text, or json: an object a line, how far it is once a second, and at the end what was done' -r
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from gc" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from gc" -l dry-run -d 'Only look what would be removed'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from gc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from key" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from key" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from key" -f -a "add" -d 'Let one more key file or passphrase open a repository, and print the key\'s id'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from key" -f -a "ls" -d 'List the keys of a repository'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from key" -f -a "list" -d 'List the keys of a repository'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from key" -f -a "rm" -d 'Remove a key from a repository: its key file or passphrase opens it no more'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from key" -f -a "rotate" -d 'Put a new key file or passphrase in the place of the one that this host used, and print the key\'s id'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from key" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from help" -f -a "add" -d 'Let this host use a repository, or make one, and print what its store can do'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from help" -f -a "ls" -d 'List the remotes, or the snapshots in one'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from help" -f -a "inspect" -d 'Show what this host knows of a remote, as JSON; the store is not asked, and no secret is told'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from help" -f -a "set" -d 'Change what this host knows of a remote'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from help" -f -a "rm" -d 'Let this host forget a remote; what is stored there stays, what is kept of it in the cache goes'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from help" -f -a "check" -d 'Verify that a repository has all that its snapshots need'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from help" -f -a "forget" -d 'Remove snapshots of a volume from a repository, and print their names'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from help" -f -a "gc" -d 'Remove from a repository what no snapshot needs'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from help" -f -a "key" -d 'Manage what opens a repository'
complete -c cask -n "__fish_cask_using_subcommand remote; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cask -n "__fish_cask_using_subcommand push" -l limit -d 'Bytes a second that are sent at most, such as 20M' -r
complete -c cask -n "__fish_cask_using_subcommand push" -l wait -d 'How long a store that cannot be reached is asked again, such as 1h; otherwise until nothing came of it for 30 s' -r
complete -c cask -n "__fish_cask_using_subcommand push" -l format -d 'text, or json: an object a line, how far it is once a second, and at the end what was done' -r
complete -c cask -n "__fish_cask_using_subcommand push" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand push" -l all-snapshots -d 'Send all snapshots that the remote lacks, the oldest first'
complete -c cask -n "__fish_cask_using_subcommand push" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand pull" -l wait -d 'How long a store that cannot be reached is asked again, such as 1h; otherwise until nothing came of it for 30 s' -r
complete -c cask -n "__fish_cask_using_subcommand pull" -l format -d 'text, or json: an object a line, how far it is once a second, and at the end what was made' -r
complete -c cask -n "__fish_cask_using_subcommand pull" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand pull" -l all-snapshots -d 'Make all snapshots that are there snapshots of the new volume, with their names, times and labels; the newest is what it holds'
complete -c cask -n "__fish_cask_using_subcommand pull" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand send" -l from -d 'The snapshot that who receives has already' -r
complete -c cask -n "__fish_cask_using_subcommand send" -l resume -d 'Go on with a stream that was cut: what `cask receive` said then, or `cask receive --token` says' -r
complete -c cask -n "__fish_cask_using_subcommand send" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand send" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand receive" -l format -d 'text, or json: an object a line, how far it is once a second, and at the end what was made' -r
complete -c cask -n "__fish_cask_using_subcommand receive" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand receive" -l force -d 'Also where the volume has changed since: what it holds now is kept as a snapshot, and the name of that printed'
complete -c cask -n "__fish_cask_using_subcommand receive" -l token -d 'Print how far a stream came that was cut, for `cask send --resume`'
complete -c cask -n "__fish_cask_using_subcommand receive" -l abort -d 'Remove what came of a stream that was cut'
complete -c cask -n "__fish_cask_using_subcommand receive" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand docker; and not __fish_seen_subcommand_from serve install uninstall help" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand docker; and not __fish_seen_subcommand_from serve install uninstall help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand docker; and not __fish_seen_subcommand_from serve install uninstall help" -f -a "serve" -d 'Be the volume plugin, for as long as the process lives'
complete -c cask -n "__fish_cask_using_subcommand docker; and not __fish_seen_subcommand_from serve install uninstall help" -f -a "install" -d 'Set the plugin up on this machine, and print what was done'
complete -c cask -n "__fish_cask_using_subcommand docker; and not __fish_seen_subcommand_from serve install uninstall help" -f -a "uninstall" -d 'Take back what `install` did; volumes stay, and so do their mounts'
complete -c cask -n "__fish_cask_using_subcommand docker; and not __fish_seen_subcommand_from serve install uninstall help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from serve" -l socket -d 'The socket for Docker' -r -F
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from serve" -l podman-socket -d 'The socket for Podman, which containers.conf names; default: podman.sock in the run directory' -r -F
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from serve" -l run-dir -d 'Where volumes are mounted for containers, and where it is noted who has them; default: /run/cask, or $XDG_RUNTIME_DIR/cask without root' -r -F
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from serve" -l metrics -d 'Serve what `cask metrics` prints at http://ADDR/metrics, to whoever has an account on this host: an address of the loopback and a port, such as 127.0.0.1:9750' -r
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from serve" -l linger-ms -d 'Milliseconds that a mount stays after its last user went' -r
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from serve" -l linger-stale-ms -d 'Milliseconds that a mount stays which only the last life of dockerd held' -r
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from serve" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from install" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from install" -l now -d 'Start it, too'
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from install" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from uninstall" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from uninstall" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from help" -f -a "serve" -d 'Be the volume plugin, for as long as the process lives'
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from help" -f -a "install" -d 'Set the plugin up on this machine, and print what was done'
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from help" -f -a "uninstall" -d 'Take back what `install` did; volumes stay, and so do their mounts'
complete -c cask -n "__fish_cask_using_subcommand docker; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cask -n "__fish_cask_using_subcommand top" -s n -l rounds -d 'End after so many seconds' -r
complete -c cask -n "__fish_cask_using_subcommand top" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand web" -l listen -d 'Where to listen: 127.0.0.1 or [::1], and a port; with port 0 a free one' -r
complete -c cask -n "__fish_cask_using_subcommand web" -l token-file -d 'Keep the token in this file: it is read if it exists, else it is made' -r -F
complete -c cask -n "__fish_cask_using_subcommand web" -l origin -d 'How browsers reach a proxy before it, such as https://volumes.example.org' -r
complete -c cask -n "__fish_cask_using_subcommand web" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand web" -l read-only -d 'Refuse all changes'
complete -c cask -n "__fish_cask_using_subcommand web" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand doctor" -l socket -d 'The socket of the volume plugin' -r -F
complete -c cask -n "__fish_cask_using_subcommand doctor" -l engine -d 'The socket of the Docker engine' -r -F
complete -c cask -n "__fish_cask_using_subcommand doctor" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand upgrade" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand upgrade" -l all -d 'All volumes below the root'
complete -c cask -n "__fish_cask_using_subcommand upgrade" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand completions" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand man" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand keep" -l volume -d 'The volume\'s directory' -r -F
complete -c cask -n "__fish_cask_using_subcommand keep" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand keep" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand serve" -l volume -d 'The volume\'s directory' -r -F
complete -c cask -n "__fish_cask_using_subcommand serve" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand poke" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand poke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand buffer" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand buffer" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand flush-files" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand flush-files" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand afterwards" -l engine -d 'The socket of their engine' -r -F
complete -c cask -n "__fish_cask_using_subcommand afterwards" -l lock -d 'The file that is locked while containers are paused' -r -F
complete -c cask -n "__fish_cask_using_subcommand afterwards" -l before -d 'What the shell is to do when it is asked for' -r
complete -c cask -n "__fish_cask_using_subcommand afterwards" -l after -d 'What the shell is to do in the end' -r
complete -c cask -n "__fish_cask_using_subcommand afterwards" -l root -d 'Where named volumes lie' -r -F
complete -c cask -n "__fish_cask_using_subcommand afterwards" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "create" -d 'Create a volume and print its name'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "ls" -d 'List the volumes of the root'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "inspect" -d 'Show everything about volumes, as a JSON array'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "log" -d 'Show what the server of a volume has logged'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "mount" -d 'Mount a volume, or a snapshot of one; returns when the mount is usable'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "umount" -d 'Unmount a mountpoint, or a volume or snapshot everywhere in this mount namespace'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "rm" -d 'Remove volumes and print their names'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "restore-volume" -d 'Bring a volume back out of the trash, and print its name'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "rename" -d 'Rename a volume that is not mounted'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "set" -d 'Change what is recorded of a volume, mounted or not'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "resize" -d 'Set how much a volume may hold, mounted or not'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "sync" -d 'Make what was written to volumes durable'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "gc" -d 'Give back the space of what was removed and overwritten, mounted or not'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "check" -d 'Look for damage in a volume, mounted or not, and repair it if asked'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "df" -d 'Show what volumes hold and what they take, of all volumes or of these'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "stats" -d 'Show all that is known of what one volume holds'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "metrics" -d 'Print what can be measured of all volumes, for Prometheus'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "prune" -d 'Remove what nobody needs any more, and tell how much space that gives back'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "snapshot" -d 'Take a snapshot of a volume, mounted or not, and print its name'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "schedule" -d 'Take the snapshots that are due by the schedules of volumes'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "diff" -d 'Show what changed between two states of a volume'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "clone" -d 'Make an independent, writable volume of a snapshot, or of a volume as it is now, and print its name'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "rollback" -d 'Make a volume what it was at a snapshot'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "cp" -d 'Copy a file or a directory out of a volume, or out of a snapshot, without mounting it'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "restore" -d 'Put a file or a directory of a snapshot back in its place, in the volume as it is now'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "export" -d 'Write a volume, or a snapshot of one, as a tar archive'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "import" -d 'Make a volume of a tar archive or a directory, and print its name'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "remote" -d 'Manage remotes: repositories in an object store or a directory, which volumes are pushed to and pulled from'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "push" -d 'Send a snapshot of a volume to a remote, and print its name there'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "pull" -d 'Make a volume of a snapshot in a remote, and print its name'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "send" -d 'Write a snapshot of a volume to standard output, for `cask receive` on another host'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "receive" -d 'Make a volume of what `cask send` writes, read from standard input, and print its name'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "docker" -d 'Volumes for Docker and Podman'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "top" -d 'Show what mounted volumes do, once a second'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "web" -d 'Serve a page with the volumes, to look at and look after them in a browser'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "doctor" -d 'Look for what keeps volumes from working here, and say how to mend it'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "upgrade" -d 'Have this program serve volumes that an older one serves, while they stay mounted'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "completions" -d 'Print a shell\'s completion script'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "man" -d 'Write the manual pages into a directory'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "keep" -d 'Serve a volume, for the process at standard input'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "serve" -d 'Serve a volume, for the process at standard input'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "poke" -d 'Ask something of the mounts of a superblock'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "buffer" -d 'Whether the kernel may hold what is written to the superblock of the `/dev/fuse` descriptor at standard input'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "flush-files"
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "afterwards" -d 'Wait until standard input ends, and then have the containers go on that it names'
complete -c cask -n "__fish_cask_using_subcommand help; and not __fish_seen_subcommand_from create ls inspect log mount umount rm restore-volume rename set resize sync gc check df stats metrics prune snapshot schedule diff clone rollback cp restore export import remote push pull send receive docker top web doctor upgrade completions man keep serve poke buffer flush-files afterwards help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from snapshot" -f -a "ls" -d 'List the snapshots of a volume, the oldest first'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from snapshot" -f -a "rm" -d 'Remove snapshots and print their names'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from snapshot" -f -a "hold" -d 'Keep snapshots from being removed or pruned'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from snapshot" -f -a "release" -d 'Let snapshots that were held be removed again'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from snapshot" -f -a "prune" -d 'Remove the snapshots that no rule keeps, and print their names'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from schedule" -f -a "run" -d 'Take what is due now, remove what no rule keeps any more, and print the names of what was taken'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from remote" -f -a "add" -d 'Let this host use a repository, or make one, and print what its store can do'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from remote" -f -a "ls" -d 'List the remotes, or the snapshots in one'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from remote" -f -a "inspect" -d 'Show what this host knows of a remote, as JSON; the store is not asked, and no secret is told'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from remote" -f -a "set" -d 'Change what this host knows of a remote'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from remote" -f -a "rm" -d 'Let this host forget a remote; what is stored there stays, what is kept of it in the cache goes'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from remote" -f -a "check" -d 'Verify that a repository has all that its snapshots need'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from remote" -f -a "forget" -d 'Remove snapshots of a volume from a repository, and print their names'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from remote" -f -a "gc" -d 'Remove from a repository what no snapshot needs'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from remote" -f -a "key" -d 'Manage what opens a repository'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from docker" -f -a "serve" -d 'Be the volume plugin, for as long as the process lives'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from docker" -f -a "install" -d 'Set the plugin up on this machine, and print what was done'
complete -c cask -n "__fish_cask_using_subcommand help; and __fish_seen_subcommand_from docker" -f -a "uninstall" -d 'Take back what `install` did; volumes stay, and so do their mounts'
