//! The name under which OpenSSL looks for a certificate in a folder: `openssl x509 -subject_hash`.
//!
//! SHA-1 over the subject in OpenSSL's canonical form (`x509_name_canon` there): every text becomes UTF-8, in lower case,
//! with single spaces; the first four bytes are the name, little end first.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha1::{Digest as _, Sha1};

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const UTF8_STRING: u8 = 0x0c;

/// The hash for a certificate in PEM; none if it is no certificate.
pub(super) fn of_pem(pem: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let body: String = body.split_whitespace().collect();
    let subject = subject(&STANDARD.decode(body).ok()?)?.to_vec();
    let digest = Sha1::digest(canonical(&subject)?);
    Some(format!("{:02x}{:02x}{:02x}{:02x}", digest[3], digest[2], digest[1], digest[0]))
}

/// One element of DER.
struct Element<'a> {
    tag: u8,
    content: &'a [u8],
}

/// The first element of `der`, and what follows it.
fn element(der: &[u8]) -> Option<(Element<'_>, &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((Element { tag, content }, rest))
}

/// All elements in a row.
fn elements(mut der: &[u8]) -> Option<Vec<Element<'_>>> {
    let mut elements = Vec::new();
    while !der.is_empty() {
        let (next, rest) = element(der)?;
        elements.push(next);
        der = rest;
    }
    Some(elements)
}

/// The content of the field `subject` (RFC 5280, section 4.1).
fn subject(certificate: &[u8]) -> Option<&[u8]> {
    /// Of an optional field of its own, the version, before all others.
    const VERSION: u8 = 0xa0;
    let (certificate, _) = element(certificate)?;
    let (to_be_signed, _) = element(certificate.content)?;
    let fields = elements(to_be_signed.content)?;
    let skip = usize::from(fields.first()?.tag == VERSION);
    // Serial number, algorithm, issuer, validity, subject.
    let subject = fields.get(skip + 4)?;
    (subject.tag == SEQUENCE).then_some(subject.content)
}

fn canonical(name: &[u8]) -> Option<Vec<u8>> {
    let mut canonical = Vec::new();
    for set in elements(name)? {
        let mut attributes = Vec::new();
        for attribute in elements(set.content)? {
            let (kind, rest) = element(attribute.content)?;
            let (value, _) = element(rest)?;
            let mut pair = encoded(kind.tag, kind.content);
            match text(&value) {
                Some(text) => pair.extend(encoded(UTF8_STRING, folded(&text).as_bytes())),
                None => pair.extend(encoded(value.tag, value.content)),
            }
            attributes.push(encoded(SEQUENCE, &pair));
        }
        attributes.sort_unstable();
        canonical.extend(encoded(SET, &attributes.concat()));
    }
    Some(canonical)
}

/// The text of a value; none for what is no text.
fn text(value: &Element<'_>) -> Option<String> {
    let content = value.content;
    match value.tag {
        UTF8_STRING => String::from_utf8(content.to_vec()).ok(),
        // PrintableString, T61String (read as Latin 1), IA5String, VisibleString.
        0x13 | 0x14 | 0x16 | 0x1a => Some(content.iter().map(|&byte| char::from(byte)).collect()),
        // UniversalString, BMPString.
        0x1c => content.chunks(4).map(|unit| char::from_u32(u32::from_be_bytes(unit.try_into().ok()?))).collect(),
        0x1e => {
            let units = content.chunks(2).map(|unit| Some(u16::from_be_bytes(unit.try_into().ok()?)));
            String::from_utf16(&units.collect::<Option<Vec<_>>>()?).ok()
        }
        _ => None,
    }
}

/// In lower case where it is ASCII, with one space where there are several, and none at the ends.
fn folded(text: &str) -> String {
    let words: Vec<&str> =
        text.split(|c: char| c.is_ascii_whitespace() || c == '\x0b').filter(|word| !word.is_empty()).collect();
    words.join(" ").to_ascii_lowercase()
}

fn encoded(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut der = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..=0x7f) => der.push(short),
        Ok(byte) => der.extend([0x81, byte]),
        Err(_) => {
            let bytes = length.to_be_bytes();
            let bytes = &bytes[bytes.iter().take_while(|&&byte| byte == 0).count()..];
            der.push(0x80 | u8::try_from(bytes.len()).expect("a length has at most eight bytes"));
            der.extend_from_slice(bytes);
        }
    }
    der.extend_from_slice(content);
    der
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeSet, fs, path::Path, process::Command};

    /// Self-signed, with what canonical form is about.
    fn certificate(folder: &Path, name: &str, subject: &str) -> Option<()> {
        let (key, file) = (folder.join("key"), folder.join(name));
        let mut openssl = Command::new("openssl");
        openssl.args(["req", "-x509", "-newkey", "ed25519", "-nodes", "-utf8", "-subj", subject, "-keyout"]);
        let made = openssl.arg(&key).arg("-out").arg(&file).output().ok()?;
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Some(())
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "the test runner shows what a test prints")]
    fn names_are_those_of_openssl() {
        let folder = tempfile::tempdir().unwrap();
        for (number, subject) in
            ["/C=DE/O=  Two  Words /CN=a", "/CN=\u{dc}n\u{ef} C\u{d6}DE", "/DC=org/DC=Example+CN=Multi Value"]
                .iter()
                .enumerate()
        {
            if certificate(folder.path(), &format!("own-{number}.pem"), subject).is_none() {
                eprintln!("skipped: openssl is not installed");
                return;
            }
        }
        fs::remove_file(folder.path().join("key")).unwrap();
        // The authorities that this machine knows, if it knows any.
        for file in fs::read_dir("/usr/share/ca-certificates/mozilla").into_iter().flatten().flatten() {
            let name = file.path().with_extension("pem");
            fs::copy(file.path(), folder.path().join(name.file_name().unwrap())).unwrap();
        }
        assert!(Command::new("openssl").arg("rehash").arg(folder.path()).status().unwrap().success());
        let (mut made, mut expected) = (BTreeSet::new(), BTreeSet::new());
        for file in fs::read_dir(folder.path()).unwrap() {
            let path = file.unwrap().path();
            if path.is_symlink() {
                let target = fs::read_link(&path).unwrap();
                let hash = path.file_stem().unwrap().to_str().unwrap().to_owned();
                expected.insert((target, hash));
            } else {
                let hash = of_pem(&fs::read(&path).unwrap()).unwrap();
                made.insert((path.file_name().unwrap().into(), hash));
            }
        }
        assert_eq!(made, expected);
    }

    #[test]
    fn what_is_no_certificate_has_no_name() {
        for pem in ["", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n", "-----BEGIN CERTIFICATE-----"]
        {
            assert_eq!(of_pem(pem.as_bytes()), None, "{pem}");
        }
        assert!(element(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]).is_none());
    }
}
