//! What `--cache-from` and `--cache-to` say: keys and values, spelled as buildx spells them.
//!
//! | type | is | keys of its own |
//! |---|---|---|
//! | `registry` | a tag of a repository | `ref` |
//! | `local` | a folder | `src` or `dest`, `tag`, `digest` (to read) |
//! | `inline` | the image's own configuration (to write; read it as `registry`) | |
//!
//! Those to write also have `mode`, `compression`, `compression-level`, `force-compression`, `oci-mediatypes`,
//! `image-manifest` and `ignore-error`.

use super::{Failed, keys::Keys};
use crate::{
    cache::{ExportOptions, Mode, Place},
    layer::Compression,
    pipeline::{CacheExport, CacheTo},
};

const DEFAULT_TAG: &str = "latest";

/// Reads all `--cache-from`. As with buildx, one value may be several names.
pub(super) fn sources(specs: &[String]) -> Result<Vec<Place>, Failed> {
    let mut places = Vec::new();
    for spec in specs {
        if spec.contains('=') {
            places.push(source(spec)?);
        } else {
            for name in spec.split(',') {
                let reference = name.trim().parse();
                let reference = reference.map_err(|error| Failed::usage(format!("--cache-from {spec:?}: {error}")))?;
                places.push(Place::Registry { reference });
            }
        }
    }
    Ok(places)
}

fn source(spec: &str) -> Result<Place, Failed> {
    let mut keys = Keys::read("--cache-from", spec)?;
    let kind = keys.text("type").unwrap_or_else(|| "registry".to_owned());
    let place = match kind.as_str() {
        "registry" => registry(&mut keys)?,
        "local" => {
            let folder = keys.text("src").ok_or_else(|| keys.wrong("it needs src="))?.into();
            let digest = keys.text("digest").map(|digest| digest.parse()).transpose();
            let digest = digest.map_err(|error: crate::image::DigestError| keys.wrong(&error.to_string()))?;
            Place::Local { folder, tag: keys.text("tag").unwrap_or_else(|| DEFAULT_TAG.to_owned()), digest }
        }
        "inline" => return Err(keys.wrong("name the image itself: type=registry,ref=NAME")),
        other => return Err(keys.wrong(&format!("unknown type {other:?}: expected registry or local"))),
    };
    keys.end()?;
    Ok(place)
}

/// Reads a `--cache-to`; a name alone is that of a cache in a registry.
pub(super) fn target(spec: &str) -> Result<CacheExport, Failed> {
    let named = format!("type=registry,ref={spec}");
    let mut keys = Keys::read("--cache-to", if spec.contains('=') { spec } else { &named })?;
    let kind = keys.text("type").ok_or_else(|| keys.wrong("it has no type="))?;
    let place = match kind.as_str() {
        "inline" => None,
        "registry" => Some(registry(&mut keys)?),
        "local" => {
            let folder = keys.text("dest").ok_or_else(|| keys.wrong("it needs dest="))?.into();
            let tag = keys.text("tag").unwrap_or_else(|| DEFAULT_TAG.to_owned());
            Some(Place::Local { folder, tag, digest: None })
        }
        other => return Err(keys.wrong(&format!("unknown type {other:?}: expected registry, local or inline"))),
    };
    let mode = match keys.text("mode").as_deref() {
        None | Some("min") => Mode::Min,
        Some("max") if place.is_none() => return Err(keys.wrong("an image holds its own layers only: mode=min")),
        Some("max") => Mode::Max,
        Some(other) => return Err(keys.wrong(&format!("mode={other}: expected min or max"))),
    };
    let options = ExportOptions {
        mode,
        compression: keys.compression(Compression::default())?,
        force_compression: keys.flag("force-compression")?.unwrap_or(false),
        docker_types: !keys.flag("oci-mediatypes")?.unwrap_or(true),
        image_manifest: keys.flag("image-manifest")?.unwrap_or(true),
    };
    let ignore_error = keys.flag("ignore-error")?.unwrap_or(false);
    keys.end()?;
    let to = place.map_or(CacheTo::Inline, |place| CacheTo::Place { place, options });
    Ok(CacheExport { to, ignore_error })
}

fn registry(keys: &mut Keys<'_>) -> Result<Place, Failed> {
    let name = keys.text("ref").ok_or_else(|| keys.wrong("it needs ref="))?;
    let reference = name.parse();
    let reference =
        reference.map_err(|error: flashbuild_frontend::reference::ReferenceError| keys.wrong(&error.to_string()))?;
    Ok(Place::Registry { reference })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_as_buildx_reads_them() {
        let read = |spec: &str| match sources(&[spec.to_owned()]) {
            Ok(places) => places.iter().map(|place| format!("{place:?}")).collect::<Vec<_>>().join(" "),
            Err(failed) => failed.text().to_owned(),
        };
        let digest = crate::image::Digest::of(b"").to_string();
        for (spec, expected) in [
            ("type=local,src=/c", r#"Local { folder: "/c", tag: "latest", digest: None }"#.to_owned()),
            (
                &format!("type=local,src=c,tag=main,digest={digest}"),
                format!(r#"Local {{ folder: "c", tag: "main", digest: Some(BlobDigest({digest})) }}"#),
            ),
            (
                "type=local,src=c,dest=d",
                r#"--cache-from "type=local,src=c,dest=d": unknown key "dest" for this type"#.to_owned(),
            ),
            ("type=registry", r#"--cache-from "type=registry": it needs ref="#.to_owned()),
            ("type=inline", r#"--cache-from "type=inline": name the image itself: type=registry,ref=NAME"#.to_owned()),
            ("type=ftp", r#"--cache-from "type=ftp": unknown type "ftp": expected registry or local"#.to_owned()),
        ] {
            assert_eq!(read(spec), expected, "{spec}");
        }
        for (spec, names) in
            [("a.example/b:c", vec!["a.example/b:c"]), ("a,b", vec!["a", "b"]), ("ref=a,type=registry", vec!["a"])]
        {
            let places = sources(&[spec.to_owned()]).unwrap_or_else(|failed| panic!("{}", failed.text()));
            let wanted = names.iter().map(|name| Place::Registry { reference: name.parse().unwrap() });
            assert_eq!(places, wanted.collect::<Vec<_>>(), "{spec}");
        }
    }

    #[test]
    fn targets_are_read_as_buildx_reads_them() {
        let read = |spec: &str| match target(spec) {
            Ok(CacheExport { to: CacheTo::Inline, ignore_error }) => format!("inline {ignore_error}"),
            Ok(CacheExport { to: CacheTo::Place { options, .. }, ignore_error }) => format!(
                "{:?} {} {} {} {} {ignore_error}",
                options.mode,
                options.compression,
                options.force_compression,
                options.docker_types,
                options.image_manifest
            ),
            Err(failed) => failed.text().to_owned(),
        };
        for (spec, expected) in [
            ("a.example/b:cache", "Min gzip:6 false false true false"),
            ("type=inline", "inline false"),
            (
                "type=registry,ref=a,mode=max,compression=zstd,compression-level=9,force-compression=true,ignore-error=true",
                "Max zstd:9 true false true true",
            ),
            ("type=local,dest=c,oci-mediatypes=false,image-manifest=false", "Min gzip:6 false true false false"),
            (
                "type=inline,mode=max",
                r#"--cache-to "type=inline,mode=max": an image holds its own layers only: mode=min"#,
            ),
            ("type=local,dest=c,mode=all", r#"--cache-to "type=local,dest=c,mode=all": mode=all: expected min or max"#),
            ("type=local,src=c", r#"--cache-to "type=local,src=c": it needs dest="#),
            ("type=registry,ref=UPPER", ""),
        ] {
            if expected.is_empty() {
                assert!(read(spec).starts_with("--cache-to"), "{}", read(spec));
            } else {
                assert_eq!(read(spec), expected, "{spec}");
            }
        }
    }
}
