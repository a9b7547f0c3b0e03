//! Package URLs (ECMA-427): one name for a package, whichever tool asks.

use super::{Distribution, Ecosystem, Package};
use std::fmt::Write as _;

impl Package {
    /// `pkg:deb/debian/bash@5.2-1?arch=amd64&distro=debian-12`.
    pub fn purl(&self, distribution: Option<&Distribution>) -> String {
        let kind = match self.ecosystem {
            Ecosystem::Deb => "deb",
            Ecosystem::Apk => "apk",
            Ecosystem::Rpm => "rpm",
            Ecosystem::Python => "pypi",
            Ecosystem::Node => "npm",
            Ecosystem::Go => "golang",
            Ecosystem::Rust => "cargo",
        };
        let of_distribution = match self.ecosystem {
            Ecosystem::Deb | Ecosystem::Apk | Ecosystem::Rpm => distribution,
            Ecosystem::Python | Ecosystem::Node | Ecosystem::Go | Ecosystem::Rust => None,
        };
        let name = match self.ecosystem {
            Ecosystem::Python => self.name.to_lowercase().replace(['_', '.'], "-"),
            Ecosystem::Go => self.name.to_lowercase(),
            Ecosystem::Deb | Ecosystem::Apk | Ecosystem::Rpm | Ecosystem::Node | Ecosystem::Rust => self.name.clone(),
        };
        let mut purl = format!("pkg:{kind}/");
        if let Some(distribution) = of_distribution {
            encode(&mut purl, &distribution.id);
            purl.push('/');
        }
        for (index, part) in name.split('/').enumerate() {
            purl.push_str(if index > 0 { "/" } else { "" });
            encode(&mut purl, part);
        }
        // Only rpm has the epoch apart.
        let (epoch, version) = match self.version.split_once(':') {
            Some((epoch, version)) if self.ecosystem == Ecosystem::Rpm => (Some(epoch), version),
            Some(_) | None => (None, self.version.as_str()),
        };
        purl.push('@');
        encode(&mut purl, version);
        // What is not released yet has no version.
        let distro = of_distribution.filter(|it| !it.version.is_empty()).map(|it| format!("{}-{}", it.id, it.version));
        let qualifiers = [("arch", self.architecture.as_deref()), ("distro", distro.as_deref()), ("epoch", epoch)];
        for (index, (name, value)) in qualifiers.iter().filter_map(|(name, value)| Some((name, (*value)?))).enumerate()
        {
            purl.push_str(if index == 0 { "?" } else { "&" });
            purl.push_str(name);
            purl.push('=');
            encode(&mut purl, value);
        }
        purl
    }
}

/// Everything but what may stand in each part as it is becomes `%XX`.
pub(crate) fn encode(purl: &mut String, part: &str) {
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~:".contains(&byte) {
            purl.push(char::from(byte));
        } else {
            let _ = write!(purl, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ecosystem: Ecosystem, name: &str, version: &str, architecture: Option<&str>, expected: &str) {
        let mut package = Package::new(ecosystem, name, version, b"");
        package.architecture = architecture.map(str::to_owned);
        let distribution = Distribution { id: "debian".to_owned(), version: "12".to_owned(), title: String::new() };
        assert_eq!(package.purl(Some(&distribution)), expected);
    }

    #[test]
    fn each_ecosystem_has_its_form() {
        check(
            Ecosystem::Deb,
            "g++",
            "4:12.2",
            Some("amd64"),
            "pkg:deb/debian/g%2B%2B@4:12.2?arch=amd64&distro=debian-12",
        );
        check(Ecosystem::Rpm, "perl", "4:5.38-1", None, "pkg:rpm/debian/perl@5.38-1?distro=debian-12&epoch=4");
        check(Ecosystem::Python, "Zope.Interface", "5", None, "pkg:pypi/zope-interface@5");
        check(Ecosystem::Node, "@scope/name", "1.0.0+x", None, "pkg:npm/%40scope/name@1.0.0%2Bx");
        check(Ecosystem::Go, "example.org/A", "v1", None, "pkg:golang/example.org/a@v1");
        check(Ecosystem::Rust, "serde", "1.0", None, "pkg:cargo/serde@1.0");
    }
}
