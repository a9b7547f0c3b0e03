//! An SBOM as `CycloneDX` 1.5, in JSON (ECMA-424's predecessor; <https://cyclonedx.org/docs/1.5/json/>).

use super::{Component, Contents, Subject, licence::Licence};
use crate::image::Digest;
use serde::Serialize;

/// What a statement with such a document is about.
pub(super) const PREDICATE_TYPE: &str = "https://cyclonedx.org/bom";

const IMAGE: &str = "image";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are the format's")]
pub(super) struct Bom {
    bom_format: &'static str,
    spec_version: &'static str,
    serial_number: String,
    version: u32,
    metadata: Metadata,
    components: Vec<Part>,
    dependencies: [Dependency; 1],
}

#[derive(Serialize)]
struct Metadata {
    timestamp: String,
    tools: Tools,
    component: Part,
}

#[derive(Serialize)]
struct Tools {
    components: [Part; 1],
}

#[derive(Serialize)]
struct Part {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(rename = "bom-ref", skip_serializing_if = "String::is_empty")]
    reference: String,
    name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<LicenceChoice>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purl: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    properties: Vec<Property>,
}

#[derive(Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

/// Either one expression, or licences by whatever name.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
enum LicenceChoice {
    Expression { expression: String },
    Named { license: Named },
}

#[derive(Debug, PartialEq, Serialize)]
struct Named {
    name: String,
}

#[derive(Serialize)]
struct Property {
    name: &'static str,
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency {
    r#ref: &'static str,
    depends_on: Vec<String>,
}

/// The document about an image.
pub(super) fn document(subject: &Subject<'_>, contents: &Contents) -> Bom {
    let digest = subject.digest.to_string();
    let mut components: Vec<Part> = contents.components.iter().map(of_component).collect();
    components.extend(
        contents
            .distribution
            .iter()
            .map(|distribution| part("operating-system", "operating-system", &distribution.id, &distribution.version)),
    );
    let name = subject.title().unwrap_or_else(|| digest.clone());
    let checksum = Hash { alg: "SHA-256", content: subject.digest.hex() };
    let purl = subject.purls().into_iter().next();
    Bom {
        bom_format: "CycloneDX",
        spec_version: "1.5",
        serial_number: format!("urn:uuid:{}", uuid(&Digest::of(format!("CycloneDX {digest}").as_bytes()))),
        version: 1,
        metadata: Metadata {
            timestamp: subject.created(),
            tools: Tools { components: [part("application", "", "flashbuild", env!("CARGO_PKG_VERSION"))] },
            component: Part { hashes: vec![checksum], purl, ..part("container", IMAGE, &name, &digest) },
        },
        dependencies: [Dependency {
            r#ref: IMAGE,
            depends_on: components.iter().map(|part| part.reference.clone()).collect(),
        }],
        components,
    }
}

fn part(kind: &'static str, reference: &str, name: &str, version: &str) -> Part {
    Part {
        kind,
        reference: reference.to_owned(),
        name: name.to_owned(),
        version: version.to_owned(),
        hashes: Vec::new(),
        licenses: Vec::new(),
        purl: None,
        properties: Vec::new(),
    }
}

fn of_component(component: &Component) -> Part {
    // One package may be in a tree several times.
    let unique = Digest::of(component.found_in.as_bytes()).hex();
    let reference = format!("{}#{}", component.purl, &unique[..16]);
    let hash = |hash: &flashbuild_frontend::package::ArtifactHash| Hash {
        alg: if hash.algorithm() == "sha512" { "SHA-512" } else { "SHA-256" },
        content: hash.hex().to_owned(),
    };
    Part {
        hashes: component.hashes.iter().map(hash).collect(),
        licenses: stated(&component.licences),
        purl: Some(component.purl.clone()),
        properties: vec![Property { name: "flashbuild:found-in", value: component.found_in.clone() }],
        ..part("library", &reference, &component.name, &component.version)
    }
}

fn stated(licences: &[String]) -> Vec<LicenceChoice> {
    let read: Vec<Licence<'_>> =
        licences.iter().filter(|text| !text.trim().is_empty()).map(|text| Licence::read(text)).collect();
    let expressions: Option<Vec<&str>> = read
        .iter()
        .map(|licence| match licence {
            Licence::Expression(expression) => Some(*expression),
            Licence::Text(_) => None,
        })
        .collect();
    match expressions.as_deref() {
        Some([]) => Vec::new(),
        Some([only]) => vec![LicenceChoice::Expression { expression: (*only).to_owned() }],
        Some(several) => {
            let terms: Vec<String> = several.iter().map(|expression| Licence::term(expression)).collect();
            vec![LicenceChoice::Expression { expression: terms.join(" AND ") }]
        }
        None => read
            .into_iter()
            .map(|licence| match licence {
                Licence::Expression(name) | Licence::Text(name) => {
                    LicenceChoice::Named { license: Named { name: name.to_owned() } }
                }
            })
            .collect(),
    }
}

/// A UUID made of a digest: version 8, which leaves its bits to whoever makes it (RFC 9562, 5.8).
fn uuid(digest: &Digest) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let number = u128::from_be_bytes(bytes);
    let hex = format!("{number:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_serial_number_is_a_uuid_and_always_the_same() {
        let made = uuid(&Digest::of(b"x"));
        assert_eq!(made, uuid(&Digest::of(b"x")));
        assert_eq!(made.len(), 36);
        assert_eq!((&made[14..15], made.split('-').count()), ("8", 5));
        assert!("89ab".contains(&made[19..20]), "{made}");
    }

    #[test]
    fn licences_are_one_expression_or_names() {
        let read = |texts: &[&str]| {
            serde_json::to_string(&stated(&texts.iter().map(ToString::to_string).collect::<Vec<_>>())).unwrap()
        };
        assert_eq!(read(&[]), "[]");
        assert_eq!(read(&["MIT"]), r#"[{"expression":"MIT"}]"#);
        assert_eq!(read(&["MIT OR ISC", "Zlib"]), r#"[{"expression":"(MIT OR ISC) AND Zlib"}]"#);
        assert_eq!(read(&["MIT", "GPL-3+"]), r#"[{"license":{"name":"MIT"}},{"license":{"name":"GPL-3+"}}]"#);
    }
}
