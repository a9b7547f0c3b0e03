//! One artifact into the store, once: checked against its hash on the way, continued where a connection broke.
//!
//! Artifacts are blobs, kept under their SHA-256. One that its lock names by another hash is found again through a record
//! from that hash to the blob.

use super::{Address, Client, PackageError, client::pause};
use crate::{
    image::BlobDigest,
    solver::event::Step,
    store::{BlobWriter, NameLock, RecordKey, RecordKind, Store},
};
use flashbuild_frontend::package::{ArtifactHash, Package};
use sha2::Digest as _;
use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::Path,
    time::Duration,
};
use url::Url;

/// How often a transfer that does not advance is tried.
const ATTEMPTS: u32 = 5;

/// The blob of `package`'s artifact, from the first of `addresses` that has it.
pub(super) async fn artifact(
    store: &Store,
    client: &Client,
    package: &Package,
    addresses: &[Address],
    step: &Step,
) -> Result<BlobDigest, PackageError> {
    let hash = &package.artifact;
    if let Some(blob) = known(store, hash)? {
        return Ok(blob);
    }
    let _alone = lock(store, format!("artifact {hash}")).await?;
    if let Some(blob) = known(store, hash)? {
        return Ok(blob);
    }
    let _place = client.transfer().await;
    let mut last = PackageError::NoAddress { name: package.name.clone(), hash: hash.clone() };
    for address in addresses {
        let fetched = match address {
            Address::File(path) => tokio::task::block_in_place(|| from_file(store, package, path)),
            Address::Web(url) => from_web(store, client, package, url, step).await,
        };
        match fetched {
            Ok(incoming) => return keep(store, package, incoming),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The blob of an artifact that was fetched before.
pub(super) fn known(store: &Store, hash: &ArtifactHash) -> Result<Option<BlobDigest>, PackageError> {
    let blob = match hash.to_string().parse::<BlobDigest>() {
        Ok(digest) => digest,
        Err(_) => match store.records(&[record_key(hash)])?.into_values().next() {
            Some(value) => match std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok()) {
                Some(digest) => digest,
                None => return Ok(None),
            },
            None => return Ok(None),
        },
    };
    Ok(store.blob_path(&blob)?.map(|_| blob))
}

pub(super) fn record_key(hash: &ArtifactHash) -> RecordKey {
    RecordKey(
        *blake3::Hasher::new_derive_key("flashbuild-artifact-1")
            .update(hash.to_string().as_bytes())
            .finalize()
            .as_bytes(),
    )
}

async fn lock(store: &Store, name: String) -> Result<NameLock, PackageError> {
    if let Some(lock) = store.try_lock(&name)? {
        return Ok(lock);
    }
    let store = store.clone();
    let waited = tokio::task::spawn_blocking(move || store.lock(&name)).await;
    Ok(waited.expect("waiting for a lock does not panic")?)
}

/// An artifact on its way.
struct Incoming {
    writer: BlobWriter,
    /// The other hash, where the lock does not name SHA-256.
    sha512: Option<sha2::Sha512>,
}

impl Incoming {
    fn new(store: &Store, hash: &ArtifactHash) -> Result<Self, PackageError> {
        let sha512 = (hash.algorithm() == "sha512").then(sha2::Sha512::default);
        Ok(Self { writer: store.blob_writer()?, sha512 })
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(hash) = &mut self.sha512 {
            hash.update(bytes);
        }
        self.writer.write_all(bytes)
    }
}

/// Keeps what came if it is what the lock names.
fn keep(store: &Store, package: &Package, incoming: Incoming) -> Result<BlobDigest, PackageError> {
    let expected = &package.artifact;
    let mismatch =
        |actual: String| PackageError::Mismatch { name: package.name.clone(), expected: expected.clone(), actual };
    let Some(sha512) = incoming.sha512 else {
        let digest: BlobDigest = expected.to_string().parse().map_err(|_| mismatch(String::new()))?;
        return match incoming.writer.finish(Some(&digest)) {
            Ok((digest, _)) => Ok(digest),
            Err(crate::store::StoreError::DigestMismatch { actual, .. }) => Err(mismatch(actual.to_string())),
            Err(error) => Err(error.into()),
        };
    };
    let actual = sha512.finalize().iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
    if actual != expected.hex() {
        return Err(mismatch(format!("sha512:{actual}")));
    }
    let (digest, _) = incoming.writer.finish(None)?;
    store.put_record(record_key(expected), RecordKind::Definition, digest.to_string().as_bytes(), &[])?;
    Ok(digest)
}

fn from_file(store: &Store, package: &Package, path: &Path) -> Result<Incoming, PackageError> {
    let at = |error: io::Error| PackageError::Fetch {
        what: package.name.clone(),
        problem: format!("{}: {error}", path.display()),
        environment: false,
    };
    let mut incoming = Incoming::new(store, &package.artifact)?;
    let mut file = File::open(path).map_err(at)?;
    let mut piece = vec![0; 256 * 1024];
    loop {
        match file.read(&mut piece).map_err(at)? {
            0 => return Ok(incoming),
            count => incoming.write(&piece[..count]).map_err(at)?,
        }
    }
}

async fn from_web(
    store: &Store,
    client: &Client,
    package: &Package,
    url: &Url,
    step: &Step,
) -> Result<Incoming, PackageError> {
    let mut incoming = Incoming::new(store, &package.artifact)?;
    let mut failed = 0;
    loop {
        let from = incoming.writer.size();
        let mut response = client.get(&package.name, url, from, None).await?;
        if from > 0 && !response.is_rest_from(from) {
            incoming = Incoming::new(store, &package.artifact)?;
        }
        let total = response.length().map(|length| incoming.writer.size() + length);
        let broken = loop {
            match response.chunk().await {
                Ok(Some(bytes)) => {
                    let written = incoming.write(&bytes);
                    written.map_err(|error| PackageError::Fetch {
                        what: package.name.clone(),
                        problem: error.to_string(),
                        environment: true,
                    })?;
                    step.transfer(&package.name, incoming.writer.size(), total);
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let Some(error) = broken else { return Ok(incoming) };
        failed = if incoming.writer.size() > from { 1 } else { failed + 1 };
        if failed >= ATTEMPTS {
            return Err(error);
        }
        pause(failed, Duration::ZERO).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{packages::Options, solver::event::Events};
    use flashbuild_frontend::package::{PackageLayout, WheelLayout};

    const ABC_SHA512: &str = "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
    const ABC_SHA256: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn package(hash: &str) -> Package {
        let layout = WheelLayout {
            site: String::new(),
            scripts: String::new(),
            data: String::new(),
            headers: String::new(),
            interpreter: String::new(),
            requested: false,
            bytecode: None,
        };
        Package {
            name: "abc".to_owned(),
            version: "1".to_owned(),
            artifact: hash.parse().unwrap(),
            layout: PackageLayout::Wheel(layout),
            part: None,
        }
    }

    async fn fetch(store: &Store, hash: &str, addresses: &[Address]) -> Result<BlobDigest, PackageError> {
        let client = Client::new(&Options::default()).unwrap();
        artifact(store, &client, &package(hash), addresses, &Events::channel().0.step("test")).await
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_artifact_is_fetched_once_whatever_its_hash() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let file = folder.path().join("abc");
        std::fs::write(&file, "abc").unwrap();
        for hash in [ABC_SHA512, ABC_SHA256] {
            let blob = fetch(&store, hash, &[Address::File(file.clone())]).await.unwrap();
            assert_eq!(blob.to_string(), ABC_SHA256);
            // Nowhere to fetch it from, and no need to.
            assert_eq!(fetch(&store, hash, &[]).await.unwrap(), blob);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn another_artifact_is_refused_and_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store")).unwrap();
        let file = folder.path().join("abc");
        std::fs::write(&file, "evil").unwrap();
        for hash in [ABC_SHA512, ABC_SHA256] {
            let error = fetch(&store, hash, &[Address::File(file.clone())]).await.unwrap_err();
            assert!(matches!(&error, PackageError::Mismatch { name, .. } if name == "abc"), "{error}");
            assert!(matches!(fetch(&store, hash, &[]).await.unwrap_err(), PackageError::NoAddress { .. }));
        }
        let evil = BlobDigest(crate::image::Digest::of(b"evil"));
        assert!(store.blob_path(&evil).unwrap().is_none());
    }
}
