//! Who may come in: user names and passwords (RFC 7617).

use super::error::Refusal;
use crate::image::Digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hyper::header::{AUTHORIZATION, HeaderMap};
use std::{fmt, fs, io, os::unix::fs::MetadataExt as _, path::Path};

/// Users and their passwords.
pub struct Passwords {
    /// Digests of `user:password`: comparing them tells nothing about how much of a password was right.
    known: Vec<Digest>,
}

/// Never the secrets.
impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Passwords({})", self.known.len())
    }
}

impl Passwords {
    /// Reads a file of lines `user:password`. Others must not be able to read it.
    pub fn read(path: &Path) -> io::Result<Self> {
        if fs::metadata(path)?.mode() & 0o077 != 0 {
            return Err(io::Error::other("others may read it: chmod 600"));
        }
        let text = fs::read_to_string(path)?;
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let known: Vec<Digest> =
            lines.filter(|line| line.contains(':')).map(|line| Digest::of(line.as_bytes())).collect();
        if known.is_empty() { Err(io::Error::other("it has no line USER:PASSWORD")) } else { Ok(Self { known }) }
    }

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let shown = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let pair = shown.and_then(|text| STANDARD.decode(text.strip_prefix("Basic ")?.trim()).ok());
        let digest = Digest::of(&pair.ok_or(Refusal::Unauthorized)?);
        if self.known.contains(&digest) { Ok(()) } else { Err(Refusal::Unauthorized) }
    }
}

#[cfg(test)]
mod tests {
    use super::Passwords;
    use hyper::header::{AUTHORIZATION, HeaderMap, HeaderValue};
    use std::{fs, os::unix::fs::PermissionsExt as _};

    #[test]
    fn a_password_is_right_or_wrong() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "# team\nme:secret\nyou:a:b\n").unwrap();
        let passwords = Passwords::read(file.path()).unwrap();
        let check = |value: &str| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_str(value).unwrap())]);
            passwords.check(&headers).is_ok()
        };
        assert!(check("Basic bWU6c2VjcmV0") && check("Basic eW91OmE6Yg=="));
        assert!(!check("Basic bWU6eA==") && !check("Bearer x") && passwords.check(&HeaderMap::new()).is_err());

        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Passwords::read(file.path()).unwrap_err().to_string().contains("chmod 600"));
    }
}
