//! Answers to the kernel, of results that both adapters have.

use fuser::{Errno, ReplyAttr, ReplyData, ReplyEmpty, ReplyStatfs, ReplyXattr, Request};

use super::convert::{TTL, file_attr};
use super::errno::report;
use crate::types::Attr;
use crate::volume::{Result, Volume};

/// The names that a user may know of: `trusted` ones are the superuser's (xattr(7)).
pub(super) fn names_for(request: &Request, names: Vec<u8>) -> Vec<u8> {
    if request.uid() == 0 {
        return names;
    }
    let visible = names.split_inclusive(|&byte| byte == 0);
    visible
        .filter(|name| !name.starts_with(b"trusted."))
        .flatten()
        .copied()
        .collect()
}

pub(super) fn attr(op: &'static str, result: Result<Attr>, reply: ReplyAttr) {
    match result {
        Ok(attr) => reply.attr(&TTL, &file_attr(&attr)),
        Err(error) => reply.error(report(op, &error)),
    }
}

pub(super) fn empty(op: &'static str, result: Result<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(error) => reply.error(report(op, &error)),
    }
}

pub(super) fn data(op: &'static str, result: Result<Vec<u8>>, reply: ReplyData) {
    match result {
        Ok(bytes) => reply.data(&bytes),
        Err(error) => reply.error(report(op, &error)),
    }
}

pub(super) fn statfs(volume: &Volume, reply: ReplyStatfs) {
    match volume.room() {
        Ok(room) => {
            let block = u32::try_from(room.block_bytes).unwrap_or(4096);
            let (blocks, free, available) = (room.blocks, room.free, room.available);
            let inodes = (room.inodes, room.inodes_free);
            reply.statfs(
                blocks, free, available, inodes.0, inodes.1, block, 255, block,
            );
        }
        Err(error) => reply.error(report("statfs", &error)),
    }
}

/// A value of unknown length: a size of 0 asks for the length (getxattr(2)).
pub(super) fn sized(op: &'static str, result: Result<Vec<u8>>, size: u32, reply: ReplyXattr) {
    let bytes = match result {
        Ok(bytes) => bytes,
        Err(error) => return reply.error(report(op, &error)),
    };
    match u32::try_from(bytes.len()) {
        Ok(len) if size == 0 => reply.size(len),
        Ok(len) if len <= size => reply.data(&bytes),
        _ => reply.error(Errno::ERANGE),
    }
}
