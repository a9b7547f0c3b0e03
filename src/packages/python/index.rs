//! Artifacts that can be had, wheels and source distributions: the files of a project at an index ("Simple repository API" of the Python packaging
//! specifications, JSON or HTML), and those in a folder.

use super::{
    sdist,
    tags::{WheelName, normalised},
};
use crate::packages::{Address, Client, PackageError};
use flashbuild_frontend::package::ArtifactHash;
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};
use url::Url;

/// Largest page of an index that is read, in bytes.
const MAX_PAGE: usize = 256 << 20;

const ACCEPT: &str = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// An artifact that can be had.
#[derive(Debug, Clone)]
pub(super) struct Offer {
    pub(super) file: String,
    /// As far as the index says.
    pub(super) hash: Option<ArtifactHash>,
    pub(super) address: Address,
}

#[derive(Deserialize)]
struct Page {
    files: Vec<PageFile>,
}

#[derive(Deserialize)]
struct PageFile {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

/// The artifacts of a project at an index; none if it does not have the project.
pub(super) async fn at_index(client: &Client, index: &Url, project: &str) -> Result<Vec<Offer>, PackageError> {
    let mut url = index.clone();
    url.set_path(&format!("{}/{project}/", index.path().trim_end_matches('/')));
    let (page, from, kind) = match client.page(&format!("the index page of {project}"), &url, ACCEPT, MAX_PAGE).await {
        Ok(answer) => answer,
        Err(PackageError::Fetch { problem, .. }) if problem.starts_with("the server answers 404") => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    if kind.contains("json") {
        let page: Page = serde_json::from_slice(&page).map_err(|error| PackageError::Fetch {
            what: format!("the index page of {project}"),
            problem: format!("it is not what the simple API has: {error}"),
            environment: false,
        })?;
        return Ok(page
            .files
            .into_iter()
            .filter_map(|file| offer(&from, &file.filename, &file.url, &file.hashes))
            .collect());
    }
    Ok(anchors(&String::from_utf8_lossy(&page), &from))
}

fn offer(base: &Url, file: &str, url: &str, hashes: &BTreeMap<String, String>) -> Option<Offer> {
    if !is_artifact(file) {
        return None;
    }
    let hash = ["sha256", "sha512"].iter().find_map(|name| ArtifactHash::new(name, hashes.get(*name)?).ok());
    let mut url = base.join(url).ok()?;
    url.set_fragment(None);
    Some(Offer { file: file.to_owned(), hash, address: Address::Web(url) })
}

/// The links of an HTML page: the address with the hash behind `#`, the file's name as its text.
fn anchors(page: &str, base: &Url) -> Vec<Offer> {
    let mut offers = Vec::new();
    for anchor in page.split("<a ").skip(1) {
        let Some((attributes, rest)) = anchor.split_once('>') else { continue };
        let text = rest.split('<').next().unwrap_or_default().trim();
        let href = attributes.split_once("href=").map(|(_, rest)| rest);
        let href = href.and_then(|rest| rest.get(1..)?.split(rest.chars().next()?).next());
        let Some(href) = href.map(|href| href.replace("&amp;", "&")) else { continue };
        let fragment = href.split_once('#').map_or("", |(_, fragment)| fragment);
        let hashes = fragment.split('&').filter_map(|part| part.split_once('='));
        let hashes = hashes.map(|(name, hex)| (name.to_owned(), hex.to_owned())).collect();
        offers.extend(offer(base, text, &href, &hashes));
    }
    offers
}

/// The artifacts in a folder.
pub(super) fn in_folder(folder: &Path) -> Result<Vec<(String, PathBuf)>, PackageError> {
    let failed = |error: std::io::Error| PackageError::Flag {
        flag: "find-links",
        problem: format!("{}: {error}", folder.display()),
    };
    let mut artifacts = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if is_artifact(&name) && path.is_file() {
            artifacts.push((name, path));
        }
    }
    artifacts.sort();
    Ok(artifacts)
}

fn is_artifact(file: &str) -> bool {
    WheelName::parse(file).is_some() || sdist::is_sdist(file)
}

/// The hash of a file of a folder.
pub(super) fn hash_of(path: &Path) -> Result<ArtifactHash, PackageError> {
    let failed = |error: std::io::Error| PackageError::Flag {
        flag: "find-links",
        problem: format!("{}: {error}", path.display()),
    };
    let mut hash = crate::image::Sha256::default();
    std::io::copy(&mut std::fs::File::open(path).map_err(failed)?, &mut hash).map_err(failed)?;
    Ok(hash.finish().to_string().parse()?)
}

/// Whether a file is an artifact of the project.
pub(super) fn is_of(file: &str, project: &str) -> bool {
    let name = WheelName::parse(file).map(|wheel| wheel.name).or_else(|| sdist::project(file));
    name.is_some_and(|name| name == normalised(project))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_html_too() {
        let hex = "ab".repeat(32);
        let page = format!(
            "<html><a href=\"../files/six-1-py3-none-any.whl#sha256={hex}\" data-requires-python=\"&gt;=3\">six-1-py3-none-any.whl</a>\n\
             <a href='https://b.example/six-2-py3-none-any.whl'>six-2-py3-none-any.whl</a><a href=\"six-1.tar.gz\">six-1.tar.gz</a><a href=\"six-1.exe\">six-1.exe</a>"
        );
        let offers = anchors(&page, &"https://a.example/simple/six/".parse().unwrap());
        let shown: Vec<String> =
            offers.iter().map(|offer| format!("{:?} {:?}", offer.address, offer.hash.is_some())).collect();
        assert_eq!(
            shown,
            [
                "https://a.example/simple/files/six-1-py3-none-any.whl true",
                "https://b.example/six-2-py3-none-any.whl false",
                "https://a.example/simple/six/six-1.tar.gz false"
            ]
        );
    }
}
