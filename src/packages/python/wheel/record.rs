//! `RECORD`: what a package's files hold, as the wheel says and as it is installed.
//!
//! A row is `path,algorithm=digest,size`, in CSV with quotes where needed; the digest is URL-safe base64 without padding.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::Digest as _;
use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    io::{self, Read},
};

/// A wheel's `RECORD`.
#[derive(Debug)]
pub(super) struct Record {
    rows: HashMap<String, Row>,
}

/// What it says of a file.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// The two fields behind the path, as written.
    text: (String, String),
    /// What the file must hold, unless the row leaves it open.
    pub(super) hash: Option<Expected>,
}

/// A digest that a file must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Expected {
    algorithm: Algorithm,
    digest: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Sha256,
    Sha384,
    Sha512,
}

impl Record {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut rows = HashMap::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let fields = fields(line);
            let [path, hash, size] = fields.as_slice() else {
                return Err(format!("RECORD has a line of {} fields: {line:?}", fields.len()));
            };
            if path.starts_with('/') || path.split('/').any(|part| part == "..") {
                return Err(format!("RECORD names {path:?}, which is outside of the package"));
            }
            let expected = match hash.split_once('=') {
                None if hash.is_empty() => None,
                None => return Err(format!("RECORD has no algorithm for {path}")),
                Some((algorithm, digest)) => Some(Expected::parse(algorithm, digest, path)?),
            };
            let row = Row { text: (hash.clone(), size.clone()), hash: expected };
            rows.insert(path.trim_start_matches("./").to_owned(), row);
        }
        Ok(Self { rows })
    }

    /// What is said of a file: nothing, if it was forgotten (some tools do).
    #[expect(clippy::unnecessary_wraps, reason = "a caller treats a refusal here like all others")]
    pub(super) fn get(&self, path: &str) -> Result<Option<&Row>, String> {
        Ok(self.rows.get(path))
    }
}

/// The fields of a line of CSV.
pub(crate) fn fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut quoted = false;
    let mut characters = line.trim_end_matches('\r').chars().peekable();
    while let Some(character) = characters.next() {
        let field = fields.last_mut().expect("there always is a field");
        match character {
            '"' if quoted && characters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => field.push(other),
        }
    }
    fields
}

impl Expected {
    fn parse(algorithm: &str, digest: &str, path: &str) -> Result<Self, String> {
        let (algorithm, length) = match algorithm {
            "sha256" => (Algorithm::Sha256, 32),
            "sha384" => (Algorithm::Sha384, 48),
            "sha512" => (Algorithm::Sha512, 64),
            other => return Err(format!("RECORD has a hash of {other} for {path}, which is not safe")),
        };
        let digest = URL_SAFE_NO_PAD.decode(digest.trim_end_matches('=')).ok().filter(|digest| digest.len() == length);
        let digest = digest.ok_or_else(|| format!("RECORD has no intact hash for {path}"))?;
        Ok(Self { algorithm, digest })
    }

    /// Whether `bytes` have the digest.
    pub(super) fn check(&self, bytes: &[u8]) -> Result<(), String> {
        let mut hash = Hash::of(self.algorithm);
        hash.update(bytes);
        if hash.finish() == self.digest { Ok(()) } else { Err(LIE.to_owned()) }
    }

    /// `content`, whose end is an error if it does not have the digest.
    pub(super) fn reader<R: Read + Send>(&self, content: R) -> impl Read + Send + use<R> {
        Verified { content, hash: Some(Hash::of(self.algorithm)), digest: self.digest.clone() }
    }
}

const LIE: &str = "it is not what RECORD says";

enum Hash {
    Sha256(sha2::Sha256),
    Sha384(sha2::Sha384),
    Sha512(sha2::Sha512),
}

impl Hash {
    fn of(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Self::Sha256(sha2::Sha256::default()),
            Algorithm::Sha384 => Self::Sha384(sha2::Sha384::default()),
            Algorithm::Sha512 => Self::Sha512(sha2::Sha512::default()),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha384(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha256(hash) => hash.finalize().to_vec(),
            Self::Sha384(hash) => hash.finalize().to_vec(),
            Self::Sha512(hash) => hash.finalize().to_vec(),
        }
    }
}

struct Verified<R> {
    content: R,
    /// Gone once the end was seen.
    hash: Option<Hash>,
    digest: Vec<u8>,
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.content.read(buffer)?;
        if let Some(hash) = &mut self.hash {
            hash.update(&buffer[..count]);
        }
        if count == 0
            && !buffer.is_empty()
            && let Some(hash) = self.hash.take()
            && hash.finish() != self.digest
        {
            return Err(io::Error::new(io::ErrorKind::InvalidData, LIE));
        }
        Ok(count)
    }
}

/// The `RECORD` of an installed package, as it grows.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Hash and size by path.
    rows: BTreeMap<String, (String, String)>,
}

impl Rows {
    /// A file that stays as the wheel has it.
    pub(super) fn keep(&mut self, path: &str, row: Option<&Row>) {
        self.rows.insert(path.to_owned(), row.map(|row| row.text.clone()).unwrap_or_default());
    }

    /// A file that was made or changed.
    pub(super) fn made(&mut self, path: &str, bytes: &[u8]) {
        let hash = format!("sha256={}", URL_SAFE_NO_PAD.encode(sha2::Sha256::digest(bytes)));
        self.rows.insert(path.to_owned(), (hash, bytes.len().to_string()));
    }

    /// The text, with `own` as the path of the file itself.
    pub(super) fn finish(mut self, own: &str) -> String {
        self.rows.insert(own.to_owned(), (String::new(), String::new()));
        let mut text = String::new();
        for (path, (hash, size)) in self.rows {
            if path.contains([',', '"']) {
                let _ = writeln!(text, "\"{}\",{hash},{size}", path.replace('"', "\"\""));
            } else {
                let _ = writeln!(text, "{path},{hash},{size}");
            }
        }
        text
    }
}
