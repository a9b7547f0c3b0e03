//! Package URLs of images, as moby/buildkit writes them (`util/purl`; type `docker` of the purl specification).

use crate::optimize::owner::encode_purl;
use flashbuild_frontend::{platform::Platform, reference::Reference};

/// The host of references to images of layouts, which no registry has.
const LAYOUT_HOST: &str = "oci-layout.invalid";

/// `pkg:docker/NAME@TAG?platform=linux%2Famd64`; of an image that only a layout has, `pkg:oci/NAME`.
pub(super) fn image_purl(reference: &Reference, platform: Option<&Platform>) -> String {
    let path = match reference.host() {
        "docker.io" => reference.path().strip_prefix("library/").unwrap_or(reference.path()).to_owned(),
        LAYOUT_HOST => reference.path().to_owned(),
        host => format!("{host}/{}", reference.path()),
    };
    let mut purl = if reference.host() == LAYOUT_HOST { "pkg:oci" } else { "pkg:docker" }.to_owned();
    for part in path.split('/') {
        purl.push('/');
        encode_purl(&mut purl, part);
    }
    // A name without a tag and a digest means `latest`.
    let tag = reference.tag().or_else(|| reference.digest().is_none().then_some("latest"));
    if let Some(tag) = tag {
        purl.push('@');
        encode_purl(&mut purl, tag);
    }
    let platform = platform.map(ToString::to_string);
    let qualifiers = [("digest", reference.digest()), ("platform", platform.as_deref())];
    let given = qualifiers.iter().filter_map(|(name, value)| Some((*name, (*value)?)));
    for (index, (name, value)) in given.enumerate() {
        purl.push(if index == 0 { '?' } else { '&' });
        purl.push_str(name);
        purl.push('=');
        encode_purl(&mut purl, value);
    }
    purl
}

#[cfg(test)]
mod tests {
    use super::image_purl;

    #[test]
    fn images_have_package_urls() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        for (name, platform, expected) in [
            ("alpine:3.17", Some("linux/amd64"), "pkg:docker/alpine@3.17?platform=linux%2Famd64".to_owned()),
            ("me/app", None, "pkg:docker/me/app@latest".to_owned()),
            ("localhost:5000/a/b:1", None, "pkg:docker/localhost:5000/a/b@1".to_owned()),
            (&format!("alpine@{digest}"), None, format!("pkg:docker/alpine?digest={digest}")),
            ("oci-layout.invalid/0xbase:latest", None, "pkg:oci/0xbase@latest".to_owned()),
        ] {
            let platform = platform.map(|text| text.parse().unwrap());
            assert_eq!(image_purl(&name.parse().unwrap(), platform.as_ref()), expected, "{name}");
        }
    }
}
