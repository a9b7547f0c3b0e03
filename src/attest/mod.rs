//! What is said about images: what they contain, and how they came to be.
//!
//! 1. [`Contents`] are the packages of an image's tree, whoever installed them, found without running anything of it
//!    ([`crate::optimize::owner`]). They are kept by the layers that they were found in, so that an unchanged image is not
//!    looked at twice.
//! 2. [`Provenance`] is the graph of the build, seen as SLSA sees builds: what was asked, what went in, what was done.
//! 3. When the image's digest is known, [`Sayings`] become statements of in-toto about it:
//!
//! | statement | predicate | file |
//! |---|---|---|
//! | SBOM, SPDX 2.3 | `https://spdx.dev/Document` | `spdx` |
//! | SBOM, `CycloneDX` 1.5 | `https://cyclonedx.org/bom` | `cyclonedx` |
//! | provenance, SLSA v1 or v0.2 | `https://slsa.dev/provenance/v1`, `…/v0.2` | `provenance` |
//!
//! 4. How statements are laid out beside the image is the business of [`crate::export`]; `sign` has `cosign` sign it.
//!
//! What holds throughout:
//!
//! - Equal builds say equal things: there is no clock in it but `SOURCE_DATE_EPOCH`, unless times are asked for, and what has
//!   to be unique is derived from the image's digest.
//! - No credential and no secret is in it: see [`Redactor`].

mod contents;
mod cyclonedx;
mod image_purl;
mod licence;
mod provenance;
mod redact;
mod sign;
mod spdx;
mod statement;

pub use contents::{Component, Contents};
pub use provenance::{Facts, Provenance, ProvenanceMode, ProvenanceOptions, SlsaVersion, Vcs};
pub use redact::Redactor;
pub use sign::{SignError, Signer};
pub use statement::Subject;

use crate::export::{AttestationForm, Statement};

/// What is to be said of a build's images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// What they contain.
    pub sbom: Option<SbomFormat>,
    /// How they came to be.
    pub provenance: Option<ProvenanceOptions>,
    /// Where it is said.
    pub form: AttestationForm,
}

impl Options {
    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.sbom.is_none() && self.provenance.is_none()
    }
}

/// How an SBOM is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SbomFormat {
    /// SPDX 2.3, as JSON.
    Spdx,
    /// `CycloneDX` 1.5, as JSON.
    CycloneDx,
}

/// What there is to say of an image as soon as its digest is known.
#[derive(Debug, Default)]
pub struct Sayings {
    /// What it contains, and how that is written.
    pub contents: Option<(SbomFormat, Contents)>,
    /// How it came to be.
    pub provenance: Option<Provenance>,
}

impl Sayings {
    /// The statements about `subject`, which is the image.
    pub fn statements(&self, subject: &Subject<'_>) -> Result<Vec<Statement>, serde_json::Error> {
        let mut statements = Vec::new();
        match &self.contents {
            None => {}
            Some((SbomFormat::Spdx, contents)) => {
                statements.push(subject.statement(spdx::PREDICATE_TYPE, &spdx::document(subject, contents))?);
            }
            Some((SbomFormat::CycloneDx, contents)) => {
                statements.push(subject.statement(cyclonedx::PREDICATE_TYPE, &cyclonedx::document(subject, contents))?);
            }
        }
        if let Some(provenance) = &self.provenance {
            statements.push(subject.statement(provenance.predicate_type(), provenance.predicate())?);
        }
        Ok(statements)
    }
}
