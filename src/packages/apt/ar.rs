//! The outer form of a package: an archive in the format of `ar` (`deb(5)`).
//!
//! Read strictly: `debian-binary` first, then `control.tar` and `data.tar` in some compression, each once and in this
//! order. What another tool might read otherwise, or not at all, is refused.

use std::io::{self, Read};

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: usize = 60;
/// Largest archive of control files, compressed.
const MAX_CONTROL: u64 = 16 << 20;

/// What `unpack` makes of the bytes of `control.tar` and of `data.tar`, compressed as they are.
pub(super) fn read_package<T, E: From<io::Error>>(
    mut package: impl Read + Send,
    mut unpack: impl FnMut(&mut (dyn Read + Send)) -> Result<T, E>,
) -> Result<(T, T), E> {
    let control = read_control(&mut package, &mut unpack)?;
    let member = Member::next(&mut package)?.named(|name| is_tar(name, "data"), "data.tar")?;
    Ok((control, member.read(&mut package, &mut unpack)?))
}

/// What `unpack` makes of the bytes of `control.tar` alone; nothing behind them is read.
pub(super) fn read_control<T, E: From<io::Error>>(
    package: &mut (impl Read + Send),
    unpack: &mut impl FnMut(&mut (dyn Read + Send)) -> Result<T, E>,
) -> Result<T, E> {
    let mut magic = [0; MAGIC.len()];
    package.read_exact(&mut magic)?;
    if &magic != MAGIC {
        return Err(broken("it is no ar archive").into());
    }
    let version = Member::next(package)?.named(|name| name == "debian-binary", "debian-binary")?;
    let mut format = Vec::new();
    package.by_ref().take(version.size.min(16)).read_to_end(&mut format)?;
    if !format.starts_with(b"2.") || version.size > 16 {
        return Err(broken("its format is not 2.x").into());
    }
    version.skip_padding(package)?;

    let member = Member::next(package)?.named(|name| is_tar(name, "control"), "control.tar")?;
    if member.size > MAX_CONTROL {
        return Err(broken("its control files are larger than any package's").into());
    }
    member.read(package, unpack)
}

/// A file in the archive: what its header says.
struct Member {
    name: String,
    size: u64,
}

impl Member {
    fn next(package: &mut impl Read) -> io::Result<Self> {
        let mut header = [0; HEADER];
        package.read_exact(&mut header)?;
        let text = |range: std::ops::Range<usize>| std::str::from_utf8(&header[range]).ok().map(str::trim_end);
        if &header[58..] != b"`\n" {
            return Err(broken("a member's header is broken"));
        }
        let name = text(0..16).map(|name| name.strip_suffix('/').unwrap_or(name));
        let digits = text(48..58).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let size = digits.and_then(|digits| digits.parse().ok());
        let (Some(name), Some(size)) = (name, size) else { return Err(broken("a member's header is broken")) };
        Ok(Self { name: name.to_owned(), size })
    }

    fn named(self, matches: impl Fn(&str) -> bool, expected: &str) -> io::Result<Self> {
        if matches(&self.name) {
            return Ok(self);
        }
        Err(broken(format!("it has {:?} where {expected} has to be", self.name)))
    }

    /// Lets `consume` read the member. It need not read to the end.
    fn read<T, E: From<io::Error>>(
        &self,
        package: &mut (impl Read + Send),
        consume: &mut impl FnMut(&mut (dyn Read + Send)) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut content = Exactly { input: &mut *package, left: self.size };
        let consumed = consume(&mut content)?;
        io::copy(&mut content, &mut io::sink())?;
        self.skip_padding(package)?;
        Ok(consumed)
    }

    /// Members begin at even positions. The last one's padding may be missing.
    fn skip_padding(&self, package: &mut impl Read) -> io::Result<()> {
        io::copy(&mut package.take(self.size % 2), &mut io::sink()).map(drop)
    }
}

/// A reader of so many bytes, for which fewer are an error.
struct Exactly<R> {
    input: R,
    left: u64,
}

impl<R: Read> Read for Exactly<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if length == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut buffer[..length])?;
        if count == 0 {
            return Err(broken("it is cut short"));
        }
        self.left -= count as u64;
        Ok(count)
    }
}

/// Whether `name` is `stem.tar` in one of the compressions that packages have had.
fn is_tar(name: &str, stem: &str) -> bool {
    let compression = name.strip_prefix(stem).and_then(|rest| rest.strip_prefix(".tar"));
    matches!(compression, Some("" | ".gz" | ".xz" | ".zst" | ".bz2"))
}

fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An ar archive of these members.
    pub(in crate::packages::apt) fn archive(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = MAGIC.to_vec();
        for (name, content) in members {
            let size = content.len();
            archive.extend(format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{size:<10}`\n", 0, 0, 0, 100_644).bytes());
            archive.extend_from_slice(content);
            archive.extend(std::iter::repeat_n(b'\n', size % 2));
        }
        archive
    }

    fn read(package: &[u8]) -> Result<(Vec<u8>, Vec<u8>), String> {
        let read = read_package(package, |content| {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).map(|_| bytes)
        });
        read.map_err(|error: io::Error| error.to_string())
    }

    #[test]
    fn the_two_archives_come_out() {
        let package = archive(&[("debian-binary", b"2.0\n"), ("control.tar.xz", b"abc"), ("data.tar", b"defg")]);
        assert_eq!(read(&package), Ok((b"abc".to_vec(), b"defg".to_vec())));
        // As GNU ar names members.
        let package = archive(&[("debian-binary/", b"2.0\n"), ("control.tar/", b""), ("data.tar.zst/", b"d")]);
        assert_eq!(read(&package), Ok((Vec::new(), b"d".to_vec())));
    }

    #[test]
    fn other_forms_are_refused() {
        let format = ("debian-binary", &b"2.0\n"[..]);
        let (control, data) = (("control.tar", &b"c"[..]), ("data.tar", &b"dd"[..]));
        for (members, expected) in [
            (vec![control, data], "it has \"control.tar\" where debian-binary has to be"),
            (vec![("debian-binary", b"3.0\n"), control, data], "its format is not 2.x"),
            (vec![format, data, control], "it has \"data.tar\" where control.tar has to be"),
            (vec![format, control, control], "it has \"control.tar\" where data.tar has to be"),
            (vec![format, control, ("data.tar.7z", b"")], "it has \"data.tar.7z\" where data.tar has to be"),
        ] {
            assert_eq!(read(&archive(&members)).unwrap_err(), expected);
        }
        assert_eq!(read(b"PK\x03\x04 is no package"), Err("it is no ar archive".to_owned()));
        let whole = archive(&[format, control, data]);
        assert_eq!(read(&whole[..whole.len() - 1]), Err("it is cut short".to_owned()));
        let broken = [&whole[..8], &b"x".repeat(HEADER)].concat();
        assert_eq!(read(&broken), Err("a member's header is broken".to_owned()));
    }
}
