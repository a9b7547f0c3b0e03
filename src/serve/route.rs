//! What a request asks for (distribution-spec, "Endpoints").

use super::error::Refusal;
use crate::image::BlobDigest;
use flashbuild_frontend::reference::Reference;
use hyper::{Method, Request};

/// What a request asks for. Names and digests are checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Whether this is a registry.
    Check,
    Catalog,
    Tags {
        repository: Repository,
    },
    Referrers {
        repository: Repository,
        digest: BlobDigest,
    },
    ReadBlob {
        digest: BlobDigest,
    },
    OpenUpload {
        repository: Repository,
    },
    ReadUpload {
        repository: Repository,
        id: String,
    },
    Append {
        repository: Repository,
        id: String,
    },
    CloseUpload {
        repository: Repository,
        id: String,
    },
    Cancel {
        id: String,
    },
    ReadDocument {
        repository: Repository,
        name: Name,
    },
    WriteDocument {
        repository: Repository,
        name: Name,
    },
    Remove {
        repository: Repository,
        name: Name,
    },
}

/// A repository: as it was asked for, and the images it is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repository {
    /// As in the address.
    pub(super) asked: String,
    /// The name without a tag; its host and path count.
    image: Reference,
}

/// What a document is asked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Tag(String),
    Digest(BlobDigest),
}

impl Repository {
    fn new(asked: &str) -> Result<Self, Refusal> {
        let wrong = || Refusal::Name(asked.to_owned());
        // A tag or a digest in it would be another thing than a repository.
        let last = asked.rsplit('/').next().unwrap_or_default();
        if asked.contains('@') || last.contains(':') {
            return Err(wrong());
        }
        Ok(Self { asked: asked.to_owned(), image: asked.parse().map_err(|_| wrong())? })
    }

    /// What the store calls the image of a tag.
    pub(super) fn image(&self, tag: &str) -> Result<String, Refusal> {
        let named = self.image.with_tag(tag).map_err(|error| Refusal::Manifest(error.to_string()))?;
        Ok(named.to_string())
    }

    /// Whether an image of the store is in this repository.
    pub(super) fn has(&self, image: &Reference) -> bool {
        (image.host(), image.path()) == (self.image.host(), self.image.path())
    }

    /// The address of an upload.
    pub(super) fn upload(&self, id: &str) -> String {
        format!("/v2/{}/blobs/uploads/{id}", self.asked)
    }
}

impl Name {
    fn new(text: &str) -> Result<Self, Refusal> {
        if text.contains(':') { Ok(Self::Digest(digest(text)?)) } else { Ok(Self::Tag(text.to_owned())) }
    }
}

impl Route {
    pub(super) fn of<B>(request: &Request<B>) -> Result<Self, Refusal> {
        Self::parse(request.method(), request.uri().path())
    }

    fn parse(method: &Method, path: &str) -> Result<Self, Refusal> {
        let rest = path.strip_prefix("/v2").ok_or(Refusal::UnknownRoute)?;
        let reads = matches!(*method, Method::GET | Method::HEAD);
        match rest {
            "" | "/" if reads => return Ok(Self::Check),
            "/_catalog" if reads => return Ok(Self::Catalog),
            _ => {}
        }
        let parts: Vec<&str> = rest.strip_prefix('/').ok_or(Refusal::UnknownRoute)?.split('/').collect();
        let repository = |length: usize| Repository::new(&parts[..parts.len() - length].join("/"));
        match parts.as_slice() {
            [_, .., "tags", "list"] if reads => Ok(Self::Tags { repository: repository(2)? }),
            [_, .., "blobs", "uploads", ""] | [_, .., "blobs", "uploads"] if *method == Method::POST => {
                let length = if rest.ends_with('/') { 3 } else { 2 };
                Ok(Self::OpenUpload { repository: repository(length)? })
            }
            [_, .., "blobs", "uploads", id] if !id.is_empty() => {
                let (repository, id) = (repository(3)?, (*id).to_owned());
                match *method {
                    Method::GET => Ok(Self::ReadUpload { repository, id }),
                    Method::PATCH => Ok(Self::Append { repository, id }),
                    Method::PUT => Ok(Self::CloseUpload { repository, id }),
                    Method::DELETE => Ok(Self::Cancel { id }),
                    _ => Err(Refusal::Unsupported),
                }
            }
            [_, .., "blobs", text] => {
                repository(2)?;
                let digest = digest(text)?;
                if reads { Ok(Self::ReadBlob { digest }) } else { Err(Refusal::Unsupported) }
            }
            [_, .., "referrers", text] if reads => {
                Ok(Self::Referrers { repository: repository(2)?, digest: digest(text)? })
            }
            [_, .., "manifests", text] => {
                let (repository, name) = (repository(2)?, Name::new(text)?);
                match *method {
                    Method::GET | Method::HEAD => Ok(Self::ReadDocument { repository, name }),
                    Method::PUT => Ok(Self::WriteDocument { repository, name }),
                    Method::DELETE => Ok(Self::Remove { repository, name }),
                    _ => Err(Refusal::Unsupported),
                }
            }
            _ => Err(Refusal::UnknownRoute),
        }
    }

    /// Whether the registry is another one afterwards, or may be.
    pub(super) fn writes(&self) -> bool {
        match self {
            Self::Check
            | Self::Catalog
            | Self::Tags { .. }
            | Self::Referrers { .. }
            | Self::ReadBlob { .. }
            | Self::ReadDocument { .. } => false,
            Self::OpenUpload { .. }
            | Self::ReadUpload { .. }
            | Self::Append { .. }
            | Self::CloseUpload { .. }
            | Self::Cancel { .. }
            | Self::WriteDocument { .. }
            | Self::Remove { .. } => true,
        }
    }
}

fn digest(text: &str) -> Result<BlobDigest, Refusal> {
    text.parse().map_err(|error: crate::image::DigestError| Refusal::Digest(error.to_string()))
}

/// A parameter of a query, decoded.
pub(super) fn parameter(query: Option<&str>, name: &str) -> Option<String> {
    let address = reqwest::Url::parse(&format!("http://localhost/?{}", query?)).ok()?;
    address.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::{Method, Repository, Route, parameter};

    fn shown(method: &str, path: &str) -> String {
        match Route::parse(&method.parse::<Method>().unwrap(), path) {
            Ok(route) => format!("{route:?}").split(' ').next().unwrap().to_owned(),
            Err(refusal) => refusal.to_string(),
        }
    }

    #[test]
    fn requests_are_what_the_specification_says() {
        let digest = format!("sha256:{}", "0".repeat(64));
        for (method, path, expected) in [
            ("GET", "/v2/", "Check"),
            ("GET", "/v2/_catalog", "Catalog"),
            ("GET", "/v2/a/b/tags/list", "Tags"),
            ("HEAD", &format!("/v2/a/blobs/{digest}"), "ReadBlob"),
            ("POST", "/v2/a/b/c/blobs/uploads/", "OpenUpload"),
            ("POST", "/v2/a/blobs/uploads", "OpenUpload"),
            ("PATCH", "/v2/a/blobs/uploads/1", "Append"),
            ("PUT", "/v2/localhost:5000/a/manifests/1", "WriteDocument"),
            ("DELETE", &format!("/v2/a/manifests/{digest}"), "Remove"),
            ("GET", &format!("/v2/a/referrers/{digest}"), "Referrers"),
            ("GET", "/", "there is no such thing in this registry"),
            ("GET", "/v1/_ping", "there is no such thing in this registry"),
            ("GET", "/v2/manifests/1", "there is no such thing in this registry"),
            ("GET", "/v2/A/manifests/1", "\"A\" is not a name of a repository"),
            ("GET", "/v2/a/../b/manifests/1", "\"a/../b\" is not a name of a repository"),
            ("GET", "/v2/a/blobs/sha256:../../x", "there is no such thing in this registry"),
            ("GET", "/v2/a:1/manifests/1", "\"a:1\" is not a name of a repository"),
            ("DELETE", &format!("/v2/a/blobs/{digest}"), "this registry does not do that"),
        ] {
            assert_eq!(shown(method, path), expected, "{method} {path}");
        }
        for hostile in ["sha256:..", "sha999:00", "sha256:"] {
            assert!(shown("GET", &format!("/v2/a/blobs/{hostile}")).contains("digest"), "{hostile}");
        }
    }

    #[test]
    fn a_repository_is_the_name_of_an_image() {
        for (repository, image) in [
            ("app", "docker.io/library/app:1"),
            ("team/app", "docker.io/team/app:1"),
            ("r.example/team/app", "r.example/team/app:1"),
            ("localhost:5000/app", "localhost:5000/app:1"),
        ] {
            assert_eq!(Repository::new(repository).unwrap().image("1").unwrap(), image);
        }
        assert!(Repository::new("app").unwrap().image("../1").is_err());
    }

    #[test]
    fn parameters_are_decoded() {
        assert_eq!(parameter(Some("a=1&mount=sha256%3Aab&from=x%2Fy"), "from").as_deref(), Some("x/y"));
        assert_eq!(parameter(Some("a=1"), "b"), None);
    }
}
