//! A tree in a remote.

use std::ops::Range;

use crate::commands::source::{Failure, Source, Xattr};
use crate::remote::PushedTree;
use crate::types::{Attr, Ino, Name, NameBuf};
use crate::volume::Error;

impl Source for PushedTree {
    fn is_live(&self) -> bool {
        false
    }

    fn attr(&self, ino: Ino) -> Result<Attr, Failure> {
        Ok(Self::attr(self, ino)?.ok_or(Error::NotFound)?)
    }

    fn children(&self, dir: Ino) -> Result<Vec<(NameBuf, Attr)>, Failure> {
        Ok(self.list(dir)?)
    }

    fn child(&self, dir: Ino, name: &Name) -> Result<Attr, Failure> {
        Ok(self.lookup(dir, name)?.ok_or(Error::NotFound)?)
    }

    fn target(&self, link: Ino) -> Result<Vec<u8>, Failure> {
        Ok(Self::target(self, link)?.ok_or(Error::NotFound)?)
    }

    fn xattrs(&self, ino: Ino) -> Result<Vec<Xattr>, Failure> {
        Ok(Self::xattrs(self, ino)?)
    }

    fn next_run(&self, file: Ino, from: u64) -> Result<Option<Range<u64>>, Failure> {
        Ok(Self::next_run(self, file, from)?)
    }

    fn read(&self, file: Ino, offset: u64, len: usize) -> Result<Vec<u8>, Failure> {
        let attr = Source::attr(self, file)?;
        Ok(Self::read(self, &attr, offset, len)?)
    }
}
