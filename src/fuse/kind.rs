//! The kinds of requests that are answered, by their names in the protocol (Linux, include/uapi/linux/fuse.h).

macro_rules! kinds {
    ($($kind:ident $name:literal,)*) => {
        /// A kind of request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Kind {
            $($kind,)*
        }

        impl Kind {
            /// Each, at the place that its number says.
            pub(super) const ALL: &[Self] = &[$(Self::$kind,)*];

            pub(super) const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }
        }
    };
}

kinds! {
    Lookup "lookup",
    Getattr "getattr",
    Setattr "setattr",
    Readlink "readlink",
    Mknod "mknod",
    Mkdir "mkdir",
    Symlink "symlink",
    Link "link",
    Unlink "unlink",
    Rmdir "rmdir",
    Rename "rename",
    Read "read",
    Write "write",
    Fsync "fsync",
    Fsyncdir "fsyncdir",
    Fallocate "fallocate",
    CopyFileRange "copy_file_range",
    Lseek "lseek",
    Statfs "statfs",
    Setxattr "setxattr",
    Getxattr "getxattr",
    Listxattr "listxattr",
    Removexattr "removexattr",
    Readdir "readdir",
    Readdirplus "readdirplus",
}
