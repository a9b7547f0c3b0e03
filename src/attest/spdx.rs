//! An SBOM as SPDX 2.3, in JSON (ISO/IEC 5962 with the additions of 2.3; <https://spdx.github.io/spdx-spec/v2.3>).

use super::{Component, Contents, Subject, licence::Licence};
use crate::image::Digest;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a statement with such a document is about.
pub(super) const PREDICATE_TYPE: &str = "https://spdx.dev/Document";

const NO_ASSERTION: &str = "NOASSERTION";
const DOCUMENT: &str = "SPDXRef-DOCUMENT";
const IMAGE: &str = "SPDXRef-Image";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are the format's")]
pub(super) struct Document {
    spdx_version: &'static str,
    data_license: &'static str,
    #[serde(rename = "SPDXID")]
    id: &'static str,
    name: String,
    document_namespace: String,
    creation_info: CreationInfo,
    packages: Vec<Package>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    has_extracted_licensing_infos: Vec<ExtractedLicence>,
    relationships: Vec<Relationship>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreationInfo {
    created: String,
    creators: [String; 1],
    #[serde(skip_serializing_if = "String::is_empty")]
    comment: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    name: String,
    #[serde(rename = "SPDXID")]
    id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version_info: String,
    supplier: &'static str,
    download_location: &'static str,
    files_analyzed: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    checksums: Vec<Checksum>,
    #[serde(skip_serializing_if = "String::is_empty")]
    source_info: String,
    license_concluded: &'static str,
    license_declared: String,
    copyright_text: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    external_refs: Vec<ExternalRef>,
    primary_package_purpose: &'static str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Checksum {
    algorithm: String,
    checksum_value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are the format's")]
struct ExternalRef {
    reference_category: &'static str,
    reference_type: &'static str,
    reference_locator: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ExtractedLicence {
    license_id: String,
    name: String,
    extracted_text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are the format's")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: &'static str,
    related_spdx_element: String,
}

/// The document about an image.
pub(super) fn document(subject: &Subject<'_>, contents: &Contents) -> Document {
    let mut extracted = BTreeMap::new();
    let mut packages = vec![image(subject)];
    packages.extend(contents.distribution.iter().map(|distribution| Package {
        external_refs: Vec::new(),
        ..package(&distribution.id, "SPDXRef-OperatingSystem", &distribution.version, "OPERATING-SYSTEM")
    }));
    packages.extend(contents.components.iter().map(|component| of_component(component, &mut extracted)));
    let contained = packages.iter().skip(1).map(|package| relationship(IMAGE, "CONTAINS", &package.id));
    let relationships = std::iter::once(relationship(DOCUMENT, "DESCRIBES", IMAGE)).chain(contained).collect();
    Document {
        spdx_version: "SPDX-2.3",
        data_license: "CC0-1.0",
        id: DOCUMENT,
        name: subject.digest.to_string(),
        // The form that the specification proposes to those who publish no documents of their own (6.5).
        document_namespace: format!("https://spdx.org/spdxdocs/flashbuild-sha256-{}", subject.digest.hex()),
        creation_info: CreationInfo {
            created: subject.created(),
            creators: [format!("Tool: flashbuild-{}", env!("CARGO_PKG_VERSION"))],
            comment: contents.notes.join("\n"),
        },
        packages,
        has_extracted_licensing_infos: extracted
            .into_iter()
            .map(|(license_id, text): (String, String)| ExtractedLicence {
                license_id,
                name: text.clone(),
                extracted_text: text,
            })
            .collect(),
        relationships,
    }
}

fn relationship(from: &str, relationship_type: &'static str, to: &str) -> Relationship {
    Relationship { spdx_element_id: from.to_owned(), relationship_type, related_spdx_element: to.to_owned() }
}

fn package(name: &str, id: &str, version: &str, purpose: &'static str) -> Package {
    Package {
        name: name.to_owned(),
        id: id.to_owned(),
        version_info: version.to_owned(),
        supplier: NO_ASSERTION,
        download_location: NO_ASSERTION,
        files_analyzed: false,
        checksums: Vec::new(),
        source_info: String::new(),
        license_concluded: NO_ASSERTION,
        license_declared: NO_ASSERTION.to_owned(),
        copyright_text: NO_ASSERTION,
        external_refs: Vec::new(),
        primary_package_purpose: purpose,
    }
}

fn purl(purl: String) -> ExternalRef {
    ExternalRef { reference_category: "PACKAGE-MANAGER", reference_type: "purl", reference_locator: purl }
}

fn image(subject: &Subject<'_>) -> Package {
    let digest = subject.digest.to_string();
    let checksum = Checksum { algorithm: "SHA256".to_owned(), checksum_value: subject.digest.hex() };
    let name = subject.title().unwrap_or_else(|| digest.clone());
    let external_refs = subject.purls().into_iter().map(purl).collect();
    Package { checksums: vec![checksum], external_refs, ..package(&name, IMAGE, &digest, "CONTAINER") }
}

fn of_component(component: &Component, extracted: &mut BTreeMap<String, String>) -> Package {
    // One package may be in a tree several times.
    let unique = Digest::of(format!("{} {}", component.purl, component.found_in).as_bytes()).hex();
    let id = format!("SPDXRef-Package-{}-{}-{}", component.ecosystem.name(), id_text(&component.name), &unique[..16]);
    let checksum = |hash: &flashbuild_frontend::package::ArtifactHash| Checksum {
        algorithm: hash.algorithm().to_ascii_uppercase(),
        checksum_value: hash.hex().to_owned(),
    };
    Package {
        checksums: component.hashes.iter().map(checksum).collect(),
        source_info: format!("found in {}", component.found_in),
        license_declared: declared(&component.licences, extracted),
        external_refs: vec![purl(component.purl.clone())],
        ..package(&component.name, &id, &component.version, "LIBRARY")
    }
}

/// All that is stated, as one expression. What SPDX does not know is referred to, and noted in `extracted`.
fn declared(licences: &[String], extracted: &mut BTreeMap<String, String>) -> String {
    let stated: Vec<&str> = licences.iter().map(|text| text.trim()).filter(|text| !text.is_empty()).collect();
    let is_one = stated.len() == 1;
    let terms: Vec<String> = stated
        .into_iter()
        .map(|text| match Licence::read(text) {
            Licence::Expression(expression) if is_one => expression.to_owned(),
            Licence::Expression(expression) => Licence::term(expression),
            Licence::Text(text) => {
                let plain = id_text(text);
                let id = if plain == text {
                    format!("LicenseRef-{plain}")
                } else {
                    format!("LicenseRef-{plain}-{}", &Digest::of(text.as_bytes()).hex()[..8])
                };
                extracted.insert(id.clone(), text.to_owned());
                id
            }
        })
        .collect();
    if terms.is_empty() { NO_ASSERTION.to_owned() } else { terms.join(" AND ") }
}

/// What an identifier may have of a text: letters, digits, dots and dashes (3.2, 10.1).
fn id_text(text: &str) -> String {
    let plain: String =
        text.chars().take(64).map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    plain.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        attest::{contents::tests::component, statement::tests::subject},
        optimize::owner::Ecosystem,
    };

    #[test]
    fn licences_that_spdx_does_not_know_are_referred_to() {
        let mut extracted = BTreeMap::new();
        let mut read =
            |texts: &[&str]| declared(&texts.iter().map(ToString::to_string).collect::<Vec<_>>(), &mut extracted);
        assert_eq!(read(&[]), "NOASSERTION");
        assert_eq!(read(&["MIT OR Apache-2.0"]), "MIT OR Apache-2.0");
        assert_eq!(read(&["MIT OR Apache-2.0", "Zlib"]), "(MIT OR Apache-2.0) AND Zlib");
        assert_eq!(read(&["Artistic"]), "LicenseRef-Artistic");
        let mixed = read(&["GPL-3+", "MIT"]);
        assert!(mixed.starts_with("LicenseRef-GPL-3-") && mixed.ends_with(" AND MIT"), "{mixed}");
        assert_eq!(extracted.values().collect::<Vec<_>>(), ["Artistic", "GPL-3+"]);
    }

    #[test]
    fn a_package_that_is_there_twice_has_two_identifiers() {
        let mut again = component(Ecosystem::Node, "@a/b", "1", "MIT");
        again.found_in = "/elsewhere".to_owned();
        let components = vec![component(Ecosystem::Node, "@a/b", "1", "MIT"), again];
        let made = document(&subject(), &Contents { components, ..Contents::default() });
        let ids: Vec<_> = made.packages.iter().map(|package| package.id.as_str()).collect();
        assert_eq!(ids.len(), 3);
        assert!(ids[1].starts_with("SPDXRef-Package-node-a-b-") && ids[1] != ids[2], "{ids:?}");
        assert_eq!(made.relationships.len(), 3);
        assert_eq!(made.creation_info.created, "2023-11-14T22:13:20Z");
    }
}
