//! Which artifact of each locked package: the best wheel for the target, among those whose hashes the lock has; where there is
//! none, the source distribution, if it may be built.
//!
//! What the lock itself says of files is enough where it names them. Where it has hashes only, folders and indexes are asked
//! which files they are. All packages are looked at before one that has no wheel is complained about.

use super::{
    index::{self, Offer},
    lock::Locked,
    pages::Pages,
    sdist::{self, Buildable},
    tags::WheelName,
    target::Target,
};
use crate::packages::{Address, Client, PackageError, lock::LockedPackage};
use flashbuild_frontend::{package::ArtifactHash, platform::Platform};
use futures_util::future::join_all;
use std::{fmt::Write as _, path::PathBuf};
use url::Url;

/// Where artifacts are looked for.
pub(super) struct Shelves {
    pub(super) client: Client,
    pub(super) pages: Pages,
    /// Without credentials.
    pub(super) indexes: Vec<Url>,
    /// Artifacts in folders: name and path.
    pub(super) folders: Vec<(String, PathBuf)>,
}

/// An artifact that was chosen.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) requested: bool,
    pub(super) hash: ArtifactHash,
    /// The best first.
    pub(super) addresses: Vec<Address>,
    /// The name of its file, if it is a source distribution, of which a wheel has to be built.
    pub(super) sdist: Option<String>,
    /// Bytes of it, if the lock says that: where it is found must not matter.
    pub(super) size: Option<u64>,
}

impl Chosen {
    /// What `flashbuild.lock` says of it. Indexes need not tell how large a wheel is.
    pub(super) fn locked(&self) -> LockedPackage {
        LockedPackage { name: self.name.clone(), version: self.version.clone(), size: 0, hash: self.hash.clone() }
    }
}

/// A package without a wheel for the target.
struct Lacking {
    name: String,
    version: String,
    /// Names of its wheels for other targets.
    others: Vec<String>,
    /// Whether the lock vouches for a source distribution.
    has_source: bool,
}

/// Why a package has no wheel.
enum Lack {
    /// There are wheels for others at most.
    NoneFits(Lacking),
    /// Something else.
    Error(PackageError),
}

impl Shelves {
    /// The best artifact of each package.
    pub(super) async fn choose(
        &self,
        locked: Vec<Locked>,
        target: &Target,
        platform: &Platform,
        buildable: &Buildable,
    ) -> Result<Vec<Chosen>, PackageError> {
        let chosen = join_all(locked.into_iter().map(|package| self.choose_one(package, target, buildable))).await;
        let mut wheels = Vec::with_capacity(chosen.len());
        let mut lacking = Vec::new();
        for chosen in chosen {
            match chosen {
                Ok(chosen) => wheels.push(chosen),
                Err(Lack::Error(error)) => return Err(error),
                Err(Lack::NoneFits(package)) => lacking.push(package),
            }
        }
        if lacking.is_empty() { Ok(wheels) } else { Err(unavailable(&lacking, target, platform, buildable)) }
    }

    async fn choose_one(&self, package: Locked, target: &Target, buildable: &Buildable) -> Result<Chosen, Lack> {
        let is_wheel = |file: &str| WheelName::parse(file).is_some();
        let offers = self.offers(&package, is_wheel).await.map_err(Lack::Error)?;
        let rank = |offer: &Offer| {
            let wheel = WheelName::parse(&offer.file)?;
            Some((target.tags.rank(&wheel)?, std::cmp::Reverse(wheel.build)))
        };
        let best = offers.iter().filter_map(|offer| Some((rank(offer)?, offer))).min_by(|(a, _), (b, _)| a.cmp(b));
        let Some((_, best)) = best else {
            let may_build = buildable.contains(&package.name);
            let sources = match self.offers(&package, sdist::is_sdist).await {
                Ok(sources) => sources,
                Err(error) if may_build => return Err(Lack::Error(error)),
                // It is only about what to say.
                Err(_) => Vec::new(),
            };
            if let Some(source) = sources.iter().find(|source| source.hash.is_some()).filter(|_| may_build) {
                return self.chosen(package, &sources, source, Some(source.file.clone()));
            }
            let mut others: Vec<String> = offers.into_iter().map(|offer| offer.file).collect();
            others.dedup();
            let has_source = !sources.is_empty();
            return Err(Lack::NoneFits(Lacking { name: package.name, version: package.version, others, has_source }));
        };
        self.chosen(package, &offers, best, None)
    }

    /// The choice of `best` among `offers`.
    fn chosen(&self, package: Locked, offers: &[Offer], best: &Offer, sdist: Option<String>) -> Result<Chosen, Lack> {
        let Some(hash) = best.hash.clone() else {
            return Err(Lack::Error(PackageError::Lock {
                file: package.at,
                problem: format!("{} {} has no hash", package.name, package.version),
            }));
        };
        // The same file may be had elsewhere.
        let local =
            self.folders.iter().filter(|(name, _)| *name == best.file).map(|(_, path)| Address::File(path.clone()));
        let mut addresses: Vec<Address> = local.collect();
        for offer in offers.iter().filter(|offer| offer.file == best.file) {
            if !addresses.contains(&offer.address) {
                addresses.push(offer.address.clone());
            }
        }
        let Locked { name, version, requested, files, .. } = package;
        let size = files.iter().filter(|file| file.hash == hash).find_map(|file| file.size);
        Ok(Chosen { name, version, requested, hash, addresses, sdist, size })
    }

    /// All artifacts of the locked version that the lock vouches for, as far as they are of this `kind`.
    async fn offers(&self, package: &Locked, kind: impl Fn(&str) -> bool) -> Result<Vec<Offer>, PackageError> {
        let mut offers = Vec::new();
        let mut without_address = false;
        for file in package.files.iter().filter(|file| kind(&file.name)) {
            let folder = self.folders.iter().find(|(name, _)| *name == file.name);
            let address = match (&file.url, folder) {
                (_, Some((_, path))) => Address::File(path.clone()),
                (Some(url), None) => Address::Web(self.checked(url)?),
                (None, None) => {
                    without_address = true;
                    continue;
                }
            };
            offers.push(Offer { file: file.name.clone(), hash: Some(file.hash.clone()), address });
        }
        if !package.hashes.is_empty() {
            // The file's bytes decide; a version in its name keeps us from reading them all.
            for (name, path) in &self.folders {
                if kind(name)
                    && index::is_of(name, &package.name)
                    && let Some(hash) = hash_of_file(path, &package.hashes)
                {
                    offers.push(Offer { file: name.clone(), hash: Some(hash), address: Address::File(path.clone()) });
                }
            }
        }
        if offers.is_empty() || without_address || !package.hashes.is_empty() {
            offers.extend(self.at_indexes(package).await?.into_iter().filter(|offer| kind(&offer.file)));
        }
        Ok(offers)
    }

    /// An address that a lock names, its credentials taken off.
    fn checked(&self, url: &Url) -> Result<Url, PackageError> {
        self.client.check(url)?;
        let mut url = url.clone();
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(url)
    }

    async fn at_indexes(&self, package: &Locked) -> Result<Vec<Offer>, PackageError> {
        let pages = join_all(self.indexes.iter().map(|at| self.pages.offers(at, package))).await;
        Ok(pages.into_iter().collect::<Result<Vec<_>, _>>()?.concat())
    }
}

/// The hash among `wanted` that a file has.
fn hash_of_file(path: &std::path::Path, wanted: &[ArtifactHash]) -> Option<ArtifactHash> {
    index::hash_of(path).ok().filter(|hash| wanted.contains(hash))
}

/// Names all packages without a wheel, and the choices.
fn unavailable(lacking: &[Lacking], target: &Target, platform: &Platform, buildable: &Buildable) -> PackageError {
    let mut text = format!("no wheel for {} on {platform}:", target.python_name());
    for Lacking { name, version, others, has_source } in lacking {
        let there = match others.as_slice() {
            [] if *has_source => "only a source distribution".to_owned(),
            [] => "nothing that the lock vouches for".to_owned(),
            others => {
                let tags = |file: &String| {
                    let tags = file.trim_end_matches(".whl").rsplitn(4, '-').take(3).collect::<Vec<_>>();
                    tags.into_iter().rev().collect::<Vec<_>>().join("-")
                };
                let mut tags: Vec<String> = others.iter().map(tags).collect();
                tags.sort();
                let more = tags.len().saturating_sub(6);
                tags.truncate(6);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                let source = if *has_source { ", and a source distribution" } else { "" };
                format!("wheels for {}{more}{source}", tags.join(", "))
            }
        };
        let _ = write!(text, "\n  {name} {version}: {there}");
    }
    let sources: Vec<&str> =
        lacking.iter().filter(|package| package.has_source).map(|package| package.name.as_str()).collect();
    text.push_str("\nChoose: ");
    if !sources.is_empty() {
        let _ = write!(text, "build from source in a step with --build-sdist{}, ", buildable.hint(&sources));
    }
    text.push_str(
        "build wheels elsewhere and give the folder with --find-links, take them from a distribution's packages, or leave the platform out",
    );
    PackageError::Unavailable(text)
}
