//! What indexes say of the files that locks vouch for. What they said last is remembered, for builds that may ask nobody.
//!
//! A build that may ask does: an index gets new files, and what it lacked yesterday need not be lacking today.

use super::{
    index::{self, Offer},
    lock::Locked,
};
use crate::{
    packages::{Address, PackageError, Packages},
    store::{RecordKey, RecordKind},
};
use flashbuild_frontend::package::ArtifactHash;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use url::Url;

/// Changes whenever what is remembered does.
const VERSION: &str = "flashbuild-python-offers-1";

/// The pages of indexes, and what is remembered of them.
pub(super) struct Pages(pub(super) Packages);

#[derive(Serialize, Deserialize)]
struct Remembered {
    file: String,
    hash: ArtifactHash,
    url: Url,
}

impl Pages {
    /// The files of `package` at `index` that its lock vouches for, each with the hash that the lock has for it.
    pub(super) async fn offers(&self, index: &Url, package: &Locked) -> Result<Vec<Offer>, PackageError> {
        let Self(packages) = self;
        let key = key(index, package);
        packages.note_answer(key);
        if packages.client.is_offline()
            && let Some(offers) = self.recall(key)?
        {
            return Ok(offers);
        }
        let page = index::at_index(&packages.client, index, &package.name).await?;
        let offers: Vec<Offer> = page.into_iter().filter_map(|offer| vouched(offer, package)).collect();
        self.remember(key, &offers)?;
        Ok(offers)
    }

    fn recall(&self, key: RecordKey) -> Result<Option<Vec<Offer>>, PackageError> {
        let value = self.0.store.records(&[key])?.remove(&key);
        let remembered = value.and_then(|value| serde_json::from_slice::<Vec<Remembered>>(&value).ok());
        let offer = |Remembered { file, hash, url }| Offer { file, hash: Some(hash), address: Address::Web(url) };
        Ok(remembered.map(|remembered| remembered.into_iter().map(offer).collect()))
    }

    fn remember(&self, key: RecordKey, offers: &[Offer]) -> Result<(), PackageError> {
        let remembered = offers.iter().filter_map(|offer| match (&offer.address, &offer.hash) {
            (Address::Web(url), Some(hash)) => {
                Some(Remembered { file: offer.file.clone(), hash: hash.clone(), url: url.clone() })
            }
            (Address::Web(_) | Address::File(_), _) => None,
        });
        let value = serde_json::to_vec(&remembered.collect::<Vec<_>>()).expect("names and addresses are plain data");
        Ok(self.0.store.put_record(key, RecordKind::Definition, &value, &[])?)
    }
}

/// What an answer depends on: whom is asked, and what the lock vouches for.
fn key(index: &Url, package: &Locked) -> RecordKey {
    let hashes: BTreeSet<String> = package.hashes.iter().map(ToString::to_string).collect();
    let files: BTreeSet<String> = package.files.iter().map(|file| format!("{} {}", file.name, file.hash)).collect();
    let facts = format!("{index} {} {hashes:?} {files:?}", package.name);
    RecordKey(*blake3::Hasher::new_derive_key(VERSION).update(facts.as_bytes()).finalize().as_bytes())
}

/// The offer with the hash that the lock has for it, if it has one.
fn vouched(offer: Offer, package: &Locked) -> Option<Offer> {
    let named = package.files.iter().find(|file| file.name == offer.file).map(|file| file.hash.clone());
    let listed = || offer.hash.clone().filter(|hash| package.hashes.contains(hash));
    let hash = named.or_else(listed)?;
    Some(Offer { hash: Some(hash), ..offer })
}
