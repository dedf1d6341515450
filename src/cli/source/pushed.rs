//! A tree in a remote.

use std::ops::Range;

use crate::cli::source::tree::{Failure, Source, Xattr};
use crate::transfer::PushedTree;
use crate::types::{Attr, Ino, Name, NameBuf};

impl Source for PushedTree {
    fn is_live(&self) -> bool {
        false
    }

    fn attr(&self, ino: Ino) -> Result<Attr, Failure> {
        Ok(Self::attr(self, ino)?)
    }

    fn children(&self, dir: Ino) -> Result<Vec<(NameBuf, Attr)>, Failure> {
        Ok(self.list(dir)?)
    }

    fn child(&self, dir: Ino, name: &Name) -> Result<Attr, Failure> {
        Ok(self.lookup(dir, name)?)
    }

    fn target(&self, link: Ino) -> Result<Vec<u8>, Failure> {
        Ok(Self::target(self, link)?)
    }

    fn xattrs(&self, ino: Ino) -> Result<Vec<Xattr>, Failure> {
        Ok(Self::xattrs(self, ino)?)
    }

    fn next_run(&self, file: Ino, from: u64) -> Result<Option<Range<u64>>, Failure> {
        Ok(Self::next_run(self, file, from)?)
    }

    fn read(&self, file: Ino, offset: u64, len: usize) -> Result<Vec<u8>, Failure> {
        Ok(Self::read(self, file, offset, len)?)
    }
}
