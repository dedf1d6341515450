//! The block before an entry, as the programs of fifty years filled it in.

use std::io;

use crate::commands::archive::BLOCK_BYTES;
use crate::commands::archive::malformed::bad;

/// The end of a field that is text: a NUL, or the field's end.
pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Where the fields are (tar(5), struct posix_header and struct oldgnu_header of GNU tar).
mod field {
    use std::ops::Range;

    pub(super) const NAME: Range<usize> = 0..100;
    pub(super) const MODE: Range<usize> = 100..108;
    pub(super) const UID: Range<usize> = 108..116;
    pub(super) const GID: Range<usize> = 116..124;
    pub(super) const SIZE: Range<usize> = 124..136;
    pub(super) const MTIME: Range<usize> = 136..148;
    pub(super) const CHECKSUM: Range<usize> = 148..156;
    pub(super) const TYPE: usize = 156;
    pub(super) const LINK: Range<usize> = 157..257;
    pub(super) const MAGIC: Range<usize> = 257..265;
    pub(super) const MAJOR: Range<usize> = 329..337;
    pub(super) const MINOR: Range<usize> = 337..345;
    pub(super) const PREFIX: Range<usize> = 345..500;
    pub(super) const SPARSE: Range<usize> = 386..482;
    pub(super) const IS_EXTENDED: usize = 482;
    pub(super) const REAL_SIZE: Range<usize> = 483..495;
}

/// Whose form a header is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Before POSIX: no magic.
    V7,
    /// GNU tar's own.
    Gnu,
    /// POSIX: ustar and pax.
    Posix,
}

/// A header whose checksum is right.
pub(super) struct Header([u8; BLOCK_BYTES]);

impl Header {
    /// The header in this block; nothing at the end of an archive.
    pub(super) fn parse(block: [u8; BLOCK_BYTES]) -> io::Result<Option<Self>> {
        let others = || {
            block[..field::CHECKSUM.start]
                .iter()
                .chain(&block[field::CHECKSUM.end..])
        };
        if others().all(|&byte| byte == 0) {
            return Ok(None);
        }
        let spaces = i64::from(b' ') * 8;
        let unsigned = spaces + others().map(|&byte| i64::from(byte)).sum::<i64>();
        // Some programs summed characters that have a sign.
        let signed = spaces
            + others()
                .map(|&byte| i64::from(byte.cast_signed()))
                .sum::<i64>();
        let said = number(&block[field::CHECKSUM]).ok();
        if said == Some(unsigned) || said == Some(signed) {
            return Ok(Some(Self(block)));
        }
        Err(bad(match compressed_by(&block) {
            Some(program) => format!("it is compressed: pass it through `{program} -d`"),
            None => "this is no tar archive, or it is damaged".to_owned(),
        }))
    }

    pub(super) fn form(&self) -> Form {
        match &self.0[field::MAGIC] {
            b"ustar  \0" => Form::Gnu,
            magic if magic.starts_with(b"ustar\0") => Form::Posix,
            _ => Form::V7,
        }
    }

    pub(super) fn kind(&self) -> u8 {
        self.0[field::TYPE]
    }

    pub(super) fn path(&self) -> Vec<u8> {
        let name = until_nul(&self.0[field::NAME]);
        let prefix = until_nul(&self.0[field::PREFIX]);
        if self.form() == Form::Posix && !prefix.is_empty() {
            return [prefix, b"/", name].concat();
        }
        name.to_vec()
    }

    pub(super) fn link(&self) -> Vec<u8> {
        until_nul(&self.0[field::LINK]).to_vec()
    }

    pub(super) fn mode(&self) -> io::Result<u32> {
        let mode = number(&self.0[field::MODE])?;
        u32::try_from(mode & 0o7777).map_err(|_| bad("a mode makes no sense"))
    }

    pub(super) fn owners(&self) -> (io::Result<u32>, io::Result<u32>) {
        let id = |range| {
            let id = number(&self.0[range])?;
            owner(id).ok_or_else(|| bad("an owner is out of range"))
        };
        (id(field::UID), id(field::GID))
    }

    pub(super) fn mtime(&self) -> io::Result<i64> {
        number(&self.0[field::MTIME])
    }

    pub(super) fn size(&self) -> io::Result<u64> {
        size(&self.0[field::SIZE])
    }

    pub(super) fn device(&self) -> io::Result<(u32, u32)> {
        if self.form() == Form::V7 {
            // The fields are none of that form's: whatever stands there is left over.
            return Ok((0, 0));
        }
        let part = |range| {
            let part = number(&self.0[range])?;
            u32::try_from(part).map_err(|_| bad("a device number is out of range"))
        };
        Ok((part(field::MAJOR)?, part(field::MINOR)?))
    }

    /// Of a file with holes in GNU tar's old form: the bytes of the first pieces of its map, and whether others
    /// follow in blocks of their own.
    pub(super) fn sparse(&self) -> (&[u8], bool) {
        (&self.0[field::SPARSE], self.0[field::IS_EXTENDED] != 0)
    }

    pub(super) fn real_size(&self) -> io::Result<u64> {
        size(&self.0[field::REAL_SIZE])
    }
}

/// A number that an owner can have: chown(2) takes the last one for nobody.
pub(super) fn owner(id: i64) -> Option<u32> {
    u32::try_from(id).ok().filter(|&id| id != u32::MAX)
}

/// A size or an offset.
pub(super) fn size(field: &[u8]) -> io::Result<u64> {
    u64::try_from(number(field)?).map_err(|_| bad("a size is below zero"))
}

/// A number: octal digits as text, or, where those would not do, binary with a first byte of 0x80 or 0xff.
pub(super) fn number(field: &[u8]) -> io::Result<i64> {
    let broken = || {
        bad(format!(
            "a header has {:?} for a number",
            field.escape_ascii().to_string()
        ))
    };
    let start = field.iter().position(|byte| !byte.is_ascii_whitespace());
    let field_rest = &field[start.ok_or_else(broken)?..];
    let value = match field_rest {
        [first @ (0x80 | 0xff), rest @ ..] if !rest.is_empty() => {
            let begin = if *first == 0xff { -1 } else { 0 };
            let add = |value: i128, byte: &u8| (value << 8) | i128::from(*byte);
            rest.iter().fold(begin, add)
        }
        text => {
            let is_digit = |byte: &u8| (b'0'..=b'7').contains(byte);
            let count = text.iter().take_while(|byte| is_digit(byte)).count();
            let (digits, after) = text.split_at(count);
            if after
                .first()
                .is_some_and(|&next| next != 0 && !next.is_ascii_whitespace())
            {
                return Err(broken());
            }
            digits
                .iter()
                .fold(0, |value, byte| value * 8 + i128::from(byte - b'0'))
        }
    };
    i64::try_from(value).map_err(|_| broken())
}

/// The program that made such a beginning.
fn compressed_by(bytes: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 4] = [
        (b"\x1f\x8b", "gzip"),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ", "xz"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
    ];
    let found = known.iter().find(|(magic, _)| bytes.starts_with(magic));
    found.map(|(_, program)| *program)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_binary() {
        for (field, value) in [
            (&b"0000644\0"[..], 0o644),
            (b"   644 \0", 0o644),
            (b"\0\0\0\0\0\0\0\0", 0),
            (b"       \0", 0),
            (b"77777777777\0", 0o77_777_777_777),
            (b"777777777777", 0o777_777_777_777),
            (b"\x80\0\0\0\0\0\0\0\0\0\x01\0", 256),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfb", -5),
        ] {
            assert_eq!(number(field).unwrap(), value, "{field:?}");
        }
        for broken in [
            &b"zzz\0"[..],
            b"64x\0",
            b"        ",
            b"-12\0",
            b"9",
            b"\x80\x01\0\0\0\0\0\0\0\0\0\0",
        ] {
            assert!(number(broken).is_err(), "{broken:?}");
        }
    }
}
