//! What there is: repositories, tags, and what speaks of an image (distribution-spec, "Content Discovery").

use super::{
    Shared,
    body::{self, Answer},
    error::Refusal,
    route::{Repository, parameter},
};
use crate::image::{BlobDigest, Descriptor, Document, Index, MediaType, referrers_tag};
use flashbuild_frontend::reference::Reference;
use hyper::{
    Response,
    header::{CONTENT_TYPE, HeaderName, LINK},
};
use serde::Serialize;
use std::collections::BTreeSet;

/// Names in one answer, if the client does not want fewer.
const PAGE: usize = 1000;

#[derive(Serialize)]
struct Catalog {
    repositories: Vec<String>,
}

#[derive(Serialize)]
struct Tags<'a> {
    name: &'a str,
    tags: Vec<String>,
}

impl Shared {
    pub(super) fn catalog(&self, query: Option<&str>) -> Result<Response<Answer>, Refusal> {
        let repositories = self.references()?.into_iter().filter_map(|image| {
            let name = image.familiar();
            let (repository, _) = name.rsplit_once(':')?;
            Some(repository.to_owned())
        });
        let (repositories, next) = page(repositories.collect(), query);
        let mut response = body::json(&Catalog { repositories });
        link(&mut response, "/v2/_catalog", next);
        Ok(response)
    }

    pub(super) fn tags(&self, repository: &Repository, query: Option<&str>) -> Result<Response<Answer>, Refusal> {
        let images = self.references()?;
        let tags: BTreeSet<String> = images
            .iter()
            .filter(|image| repository.has(image))
            .filter_map(|image| image.tag().map(str::to_owned))
            .collect();
        if tags.is_empty() {
            return Err(Refusal::UnknownManifest);
        }
        let (tags, next) = page(tags, query);
        let mut response = body::json(&Tags { name: &repository.asked, tags });
        link(&mut response, &format!("/v2/{}/tags/list", repository.asked), next);
        Ok(response)
    }

    pub(super) fn referrers(
        &self,
        repository: &Repository,
        digest: &BlobDigest,
        query: Option<&str>,
    ) -> Result<Response<Answer>, Refusal> {
        let mut index = self.referrers_of(repository, digest)?;
        let wanted = parameter(query, "artifactType");
        if let Some(wanted) = &wanted {
            index.manifests.retain(|entry| entry.artifact_type() == Some(wanted));
        }
        let mut response = body::json(&index);
        body::set(&mut response, CONTENT_TYPE, MediaType::ImageIndex.as_ref());
        if wanted.is_some() {
            body::set(&mut response, HeaderName::from_static("oci-filters-applied"), "artifactType");
        }
        Ok(response)
    }

    /// Notes that `descriptor` speaks of `subject`.
    pub(super) fn add_referrer(
        &self,
        repository: &Repository,
        subject: &BlobDigest,
        descriptor: &Descriptor,
        document: &Document,
    ) -> Result<(), Refusal> {
        let _alone = self.store.lock(&format!("referrers {}", subject.hex()))?;
        let mut index = self.referrers_of(repository, subject)?;
        index.refer(descriptor.as_referrer(document));
        let bytes = serde_json::to_vec(&index).map_err(|error| Refusal::Manifest(error.to_string()))?;
        self.store.put_blob(&bytes)?;
        self.name(repository, &referrers_tag(subject), &Descriptor::of(MediaType::ImageIndex, &bytes))
    }

    fn referrers_of(&self, repository: &Repository, digest: &BlobDigest) -> Result<Index, Refusal> {
        let known = match self.tagged(repository, &referrers_tag(digest))? {
            Some(found) => self.document(&found.digest)?.and_then(|(_, bytes)| Document::parse(&bytes, None).ok()),
            None => None,
        };
        Ok(match known {
            Some((_, Document::Index(index))) => index,
            Some((_, Document::Manifest(_))) | None => Index::empty(),
        })
    }

    /// The names of all images.
    fn references(&self) -> Result<Vec<Reference>, Refusal> {
        Ok(self.store.images()?.into_iter().filter_map(|image| image.name.parse().ok()).collect())
    }
}

/// The names after `last`, at most `n`; and the last of these, if there are more.
fn page(names: BTreeSet<String>, query: Option<&str>) -> (Vec<String>, Option<(usize, String)>) {
    let count = parameter(query, "n").and_then(|n| n.parse().ok()).unwrap_or(PAGE);
    let last = parameter(query, "last");
    let mut rest = names.into_iter().filter(|name| last.as_ref().is_none_or(|last| name > last));
    let page: Vec<String> = rest.by_ref().take(count).collect();
    let next = page.last().cloned().filter(|_| rest.next().is_some()).map(|last| (count, last));
    (page, next)
}

fn link(response: &mut Response<Answer>, path: &str, next: Option<(usize, String)>) {
    if let Some((count, last)) = next {
        let last = last.replace(':', "%3A");
        body::set(response, LINK, &format!("<{path}?n={count}&last={last}>; rel=\"next\""));
    }
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn pages_follow_each_other() {
        let names = || ["a", "b", "c"].map(str::to_owned).into();
        assert_eq!(page(names(), None), (vec!["a".into(), "b".into(), "c".into()], None));
        assert_eq!(page(names(), Some("n=2")), (vec!["a".into(), "b".into()], Some((2, "b".into()))));
        assert_eq!(page(names(), Some("n=2&last=b")), (vec!["c".into()], None));
        assert_eq!(page(names(), Some("n=0")), (vec![], None));
    }
}
