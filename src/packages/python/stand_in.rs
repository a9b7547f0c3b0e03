//! Source distributions in a resolution, without running anything of theirs.
//!
//! Who resolves requirements needs to know what a package depends on. For a source that is its own code's business, unless its
//! `PKG-INFO` says it for good ("Core metadata specifications", from 2.2 on: what is not `Dynamic` is the same for every wheel
//! that is built of it). Such a source is given to the resolver as a wheel that has the metadata and nothing else, and in the
//! answer its place is taken by the source's hash. A source that leaves its dependencies open is named.

use super::{
    choose::Shelves,
    index::{self, Offer},
    sdist,
    tags::WheelName,
};
use crate::{
    image::Digest,
    packages::{Address, PackageError},
};
use flashbuild_frontend::package::ArtifactHash;
use futures_util::future::join_all;
use pep508_rs::pep440_rs::{Version, VersionSpecifiers};
use sha2::Digest as _;
use std::{
    collections::BTreeSet,
    fs,
    io::{self, Cursor, Read, Write as _},
    path::Path,
    str::FromStr as _,
};
use tempfile::TempDir;
use zip::{CompressionMethod, ZipArchive, ZipWriter, write::SimpleFileOptions};

/// Largest source that is looked into, in bytes, packed and unpacked.
const MAX_SOURCE: u64 = 256 << 20;
const MAX_UNPACKED: u64 = 4 << 30;
/// Largest `PKG-INFO`.
const MAX_METADATA: u64 = 16 << 20;

/// A package that may be built, and which versions of it are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Normalised.
    pub(super) name: String,
    /// All of them have to be met.
    pub(super) specifiers: Vec<VersionSpecifiers>,
    /// Whether versions before a release count.
    pub(super) pre: bool,
}

/// What stands in for sources, in a folder.
pub(super) struct StandIns {
    folder: TempDir,
    /// The hexadecimal SHA-256 of a stand-in, and the hash of its source.
    hashes: Vec<(String, ArtifactHash)>,
}

impl StandIns {
    /// For the newest version of each candidate, if there is no wheel of it.
    pub(super) async fn of(file: &str, candidates: &[Candidate], shelves: &Shelves) -> Result<Self, PackageError> {
        let failed = |problem: String| PackageError::Lock { file: file.to_owned(), problem };
        let folder = tempfile::tempdir().map_err(|error| failed(error.to_string()))?;
        let mut hashes = Vec::new();
        let found = join_all(candidates.iter().map(|candidate| source_of(candidate, shelves))).await;
        for (candidate, found) in candidates.iter().zip(found) {
            let Some((version, source)) = found? else { continue };
            let refuse = |problem: String| {
                failed(format!(
                    "{} {version} is a source alone, and {problem}: lock it with `uv pip compile --generate-hashes` or \
                     `pip-compile --generate-hashes`, which may run it",
                    candidate.name
                ))
            };
            let hash = source.hash.clone().ok_or_else(|| refuse("its index gives no hash of it".to_owned()))?;
            let bytes = bytes_of(&source, shelves).await?;
            let metadata = tokio::task::block_in_place(|| {
                if !is_its(&bytes, &hash) {
                    return Err("it is not the file that its hash is of".to_owned());
                }
                let text =
                    package_information(&source.file, bytes).map_err(|error| format!("cannot be read ({error})"))?;
                check(&text).map(|()| text)
            });
            let wheel = stand_in(folder.path(), &candidate.name, &version, &metadata.map_err(refuse)?);
            hashes.push((wheel.map_err(|error| failed(error.to_string()))?, hash));
        }
        Ok(Self { folder, hashes })
    }

    /// Where they are; nothing if there are none.
    pub(super) fn folder(&self) -> Option<&Path> {
        (!self.hashes.is_empty()).then(|| self.folder.path())
    }

    /// An answer in which sources are, and not what stood in for them.
    pub(super) fn replaced_in(&self, mut answer: String) -> String {
        for (stand_in, source) in &self.hashes {
            answer = answer.replace(&format!("sha256:{stand_in}"), &source.to_string());
        }
        answer
    }
}

/// The newest version that the candidate may have, if it is a source and there is no wheel of it.
async fn source_of(candidate: &Candidate, shelves: &Shelves) -> Result<Option<(String, Offer)>, PackageError> {
    let mut offers = Vec::new();
    for (name, path) in &shelves.folders {
        if index::is_of(name, &candidate.name) {
            let hash = tokio::task::block_in_place(|| index::hash_of(path))?;
            offers.push(Offer { file: name.clone(), hash: Some(hash), address: Address::File(path.clone()) });
        }
    }
    for at in &shelves.indexes {
        offers.extend(index::at_index(&shelves.client, at, &candidate.name).await?);
    }
    let version_of = |file: &str| {
        let wheel = WheelName::parse(file).map(|wheel| wheel.version);
        let text = wheel.or_else(|| sdist::version(file).map(str::to_owned))?;
        let version = Version::from_str(&text).ok()?;
        let is_wanted = candidate.specifiers.iter().all(|specifiers| specifiers.contains(&version));
        let is_exact = candidate.specifiers.iter().any(|specifiers| specifiers.to_string().contains("=="));
        (is_wanted && (candidate.pre || is_exact || !version.any_prerelease())).then_some((version, text))
    };
    let versions: Vec<_> = offers.iter().filter_map(|offer| Some((version_of(&offer.file)?, offer))).collect();
    let wheels: BTreeSet<&Version> =
        versions.iter().filter(|(_, offer)| !sdist::is_sdist(&offer.file)).map(|((version, _), _)| version).collect();
    let newest = versions.iter().max_by(|((a, _), _), ((b, _), _)| a.cmp(b));
    let source = newest.filter(|((version, _), _)| !wheels.contains(version));
    Ok(source.map(|((_, text), offer)| (text.clone(), (*offer).clone())))
}

async fn bytes_of(source: &Offer, shelves: &Shelves) -> Result<Vec<u8>, PackageError> {
    let failed = |problem: String| PackageError::Fetch { what: source.file.clone(), problem, environment: false };
    match &source.address {
        Address::File(path) => {
            let file = fs::File::open(path).map_err(|error| failed(error.to_string()))?;
            let mut bytes = Vec::new();
            file.take(MAX_SOURCE).read_to_end(&mut bytes).map_err(|error| failed(error.to_string()))?;
            Ok(bytes)
        }
        Address::Web(url) => {
            let most = usize::try_from(MAX_SOURCE).unwrap_or(usize::MAX);
            Ok(shelves.client.page(&source.file, url, "*/*", most).await?.0.to_vec())
        }
    }
}

fn is_its(bytes: &[u8], hash: &ArtifactHash) -> bool {
    if hash.algorithm() == "sha256" {
        return Digest::of(bytes).hex() == hash.hex();
    }
    let digest = sha2::Sha512::digest(bytes);
    digest.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}")) == hash.hex()
}

/// The text of the `PKG-INFO` in the one folder of a source.
fn package_information(file: &str, bytes: Vec<u8>) -> io::Result<String> {
    let is_it = |path: &[u8]| {
        let mut parts = path.split(|byte| *byte == b'/').filter(|part| *part != b".");
        parts.nth(1) == Some(&b"PKG-INFO"[..]) && parts.next().is_none()
    };
    let read = |entry: &mut dyn Read| {
        let mut text = String::new();
        entry.take(MAX_METADATA).read_to_string(&mut text).map(|_| text)
    };
    if file.strip_suffix(".zip").is_some() {
        let mut archive = ZipArchive::new(Cursor::new(bytes))?;
        for position in 0..archive.len() {
            let mut entry = archive.by_index(position)?;
            if is_it(entry.name_raw()) {
                return read(&mut entry);
            }
        }
    } else {
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(Cursor::new(bytes)).take(MAX_UNPACKED));
        for entry in archive.entries()? {
            let mut entry = entry?;
            if is_it(&entry.path_bytes()) {
                return read(&mut entry);
            }
        }
    }
    Err(io::Error::other("it has no PKG-INFO"))
}

/// Whether metadata says for good what the package depends on; else why not.
fn check(metadata: &str) -> Result<(), String> {
    let fields = metadata.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split_once(':'));
    let mut version = (0, 0);
    let mut is_open = false;
    for (name, value) in fields {
        let (name, value) = (name.to_ascii_lowercase(), value.trim());
        match name.as_str() {
            "metadata-version" => {
                let mut parts = value.split('.').map(|part| part.parse().unwrap_or_default());
                version = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
            }
            "dynamic" => is_open |= value.eq_ignore_ascii_case("requires-dist"),
            _ => {}
        }
    }
    if version < (2, 2) || is_open {
        return Err("only its own code tells what it depends on".to_owned());
    }
    Ok(())
}

/// Writes the wheel; its SHA-256, hexadecimal.
fn stand_in(folder: &Path, name: &str, version: &str, metadata: &str) -> io::Result<String> {
    let stem = format!("{}-{}", name.replace(['-', '.'], "_"), version.replace('-', "_"));
    let wheel = "Wheel-Version: 1.0\nGenerator: flashbuild\nRoot-Is-Purelib: true\nTag: py3-none-any\n";
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (file, text) in [("METADATA", metadata), ("WHEEL", wheel), ("RECORD", "")] {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
        zip.start_file(format!("{stem}.dist-info/{file}"), options)?;
        zip.write_all(text.as_bytes())?;
    }
    let bytes = zip.finish()?.into_inner();
    fs::write(folder.join(format!("{stem}-py3-none-any.whl")), &bytes)?;
    Ok(Digest::of(&bytes).hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_metadata_that_is_the_same_for_every_wheel_counts() {
        for (text, good) in [
            ("Metadata-Version: 2.2\nName: a\nRequires-Dist: b\n\nMetadata-Version: 1.0\n", true),
            ("Metadata-Version: 2.4\nDynamic: License-File\n", true),
            ("Metadata-Version: 2.4\nDynamic: requires-dist\n", false),
            ("Metadata-Version: 2.1\nRequires-Dist: b\n", false),
            ("Name: a\n", false),
        ] {
            assert_eq!(check(text).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn a_source_says_it_in_its_folder() {
        let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (path, text) in [("a-1/src/PKG-INFO", "deep"), ("a-1/PKG-INFO", "right")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(text.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        let bytes = tar.into_inner().unwrap().finish().unwrap();
        assert_eq!(package_information("a-1.tar.gz", bytes).unwrap(), "right");
        assert!(package_information("a-1.tar.gz", Vec::new()).is_err());
    }
}
