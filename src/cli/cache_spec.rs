//! What `--cache-from` and `--cache-to` say: keys and values, spelled as buildx spells them.
//!
//! | type | is | keys of its own |
//! |---|---|---|
//! | `registry` | a tag of a repository | `ref` |
//! | `local` | a folder | `src` or `dest`, `tag`, `digest` (to read) |
//! | `s3` | objects of a bucket | `bucket`, `region`, `endpoint_url`, `use_path_style`, `name`, `prefix`, `blobs_prefix`, `manifests_prefix`, `access_key_id`, `secret_access_key`, `session_token`, `upload_parallelism` |
//! | `gha` | GitHub's cache service | `scope`, `url_v2` or `url`, `token` |
//! | `inline` | the image's own configuration (to write; read it as `registry`) | |
//!
//! Both have `mounts`, the ids of caches of steps that go along (several in quotes: `"mounts=a,b"`; `*` is all).
//!
//! Those to write also have `mode`, `compression`, `compression-level`, `force-compression`, `oci-mediatypes`,
//! `image-manifest` and `ignore-error`.

use super::{Failed, keys::Keys};
use crate::{
    cache::{
        CacheSource, ExportOptions, GhaPlace, GhaToken, Mode, MountIds, Place, S3Credentials, S3Place, profile_region,
    },
    layer::Compression,
    pipeline::{CacheExport, CacheTo},
};

use url::Url;

const DEFAULT_TAG: &str = "latest";

/// Reads all `--cache-from`. As with buildx, one value may be several names.
pub(super) fn sources(specs: &[String]) -> Result<Vec<CacheSource>, Failed> {
    let mut sources = Vec::new();
    for spec in specs {
        if spec.contains('=') {
            sources.push(source(spec)?);
        } else {
            for name in spec.split(',') {
                let reference = name.trim().parse();
                let reference = reference.map_err(|error| Failed::usage(format!("--cache-from {spec:?}: {error}")))?;
                sources.push(CacheSource { place: Place::Registry { reference }, mounts: MountIds::default() });
            }
        }
    }
    Ok(sources)
}

fn source(spec: &str) -> Result<CacheSource, Failed> {
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
        "s3" => Place::S3(Box::new(s3(&mut keys)?)),
        "gha" => Place::Gha(gha(&mut keys)?),
        "inline" => return Err(keys.wrong("name the image itself: type=registry,ref=NAME")),
        other => return Err(keys.wrong(&format!("unknown type {other:?}: expected registry, local, s3 or gha"))),
    };
    let mounts = mounts(&mut keys);
    keys.end()?;
    Ok(CacheSource { place, mounts })
}

fn mounts(keys: &mut Keys<'_>) -> MountIds {
    let ids = keys.text("mounts").unwrap_or_default();
    MountIds(ids.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect())
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
        "s3" => Some(Place::S3(Box::new(s3(&mut keys)?))),
        "gha" => Some(Place::Gha(gha(&mut keys)?)),
        other => {
            return Err(keys.wrong(&format!("unknown type {other:?}: expected registry, local, inline, s3 or gha")));
        }
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
        mounts: mounts(&mut keys),
    };
    if place.is_none() && options.mounts != MountIds::default() {
        return Err(keys.wrong("an image holds its own layers only, and no mounts"));
    }
    let ignore_error = keys.flag("ignore-error")?.unwrap_or(false);
    keys.end()?;
    let to = place.map_or(CacheTo::Inline, |place| CacheTo::Place { place, options });
    Ok(CacheExport { to, ignore_error })
}

/// A key, or else one of these variables.
fn given(keys: &mut Keys<'_>, key: &str, variables: &[&str]) -> Option<String> {
    let set = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
    keys.text(key).or_else(|| variables.iter().find_map(set))
}

fn s3(keys: &mut Keys<'_>) -> Result<S3Place, Failed> {
    let region = given(keys, "region", &["AWS_REGION", "AWS_DEFAULT_REGION"]).or_else(profile_region);
    let region = region.ok_or_else(|| keys.wrong("it needs region=, AWS_REGION, or a profile with a region"))?;
    let bucket = given(keys, "bucket", &["AWS_BUCKET"]).ok_or_else(|| keys.wrong("it needs bucket="))?;
    let endpoint = given(keys, "endpoint_url", &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"])
        .unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
    let endpoint = Url::parse(&endpoint).map_err(|error| keys.wrong(&format!("endpoint_url={endpoint}: {error}")))?;
    let id = given(keys, "access_key_id", &["AWS_ACCESS_KEY_ID"]);
    let secret = given(keys, "secret_access_key", &["AWS_SECRET_ACCESS_KEY"]);
    let session_token = given(keys, "session_token", &["AWS_SESSION_TOKEN"]);
    let credentials = match (id, secret) {
        (Some(access_key_id), Some(secret_access_key)) => {
            Some(S3Credentials { access_key_id, secret_access_key, session_token })
        }
        (None, None) => None,
        _ => return Err(keys.wrong("access_key_id and secret_access_key belong together")),
    };
    let parallelism = match keys.text("upload_parallelism") {
        None => 4,
        Some(text) => text.parse().map_err(|_| keys.wrong(&format!("upload_parallelism={text}: expected a number")))?,
    };
    Ok(S3Place {
        bucket,
        region,
        endpoint,
        path_style: keys.flag("use_path_style")?.unwrap_or(false),
        credentials,
        prefix: keys.text("prefix").unwrap_or_default(),
        blobs_prefix: keys.text("blobs_prefix").unwrap_or_else(|| "blobs/".to_owned()),
        manifests_prefix: keys.text("manifests_prefix").unwrap_or_else(|| "manifests/".to_owned()),
        name: keys.text("name").unwrap_or_else(|| "flashbuild".to_owned()),
        parallelism,
    })
}

fn gha(keys: &mut Keys<'_>) -> Result<GhaPlace, Failed> {
    let url = keys.text("url_v2").or_else(|| given(keys, "url", &["ACTIONS_RESULTS_URL"]));
    let url =
        url.ok_or_else(|| keys.wrong("it needs url=, or ACTIONS_RESULTS_URL: is this a job of GitHub Actions?"))?;
    let with_slash = if url.ends_with('/') { url.clone() } else { format!("{url}/") };
    let url = Url::parse(&with_slash).map_err(|error| keys.wrong(&format!("url={url}: {error}")))?;
    let token = given(keys, "token", &["ACTIONS_RUNTIME_TOKEN"]);
    let token = GhaToken(token.ok_or_else(|| keys.wrong("it needs token=, or ACTIONS_RUNTIME_TOKEN"))?);
    Ok(GhaPlace { url, token, scope: keys.text("scope").unwrap_or_else(|| "flashbuild".to_owned()) })
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
            Ok(sources) => sources
                .iter()
                .map(|source| format!("{:?} {:?}", source.place, source.mounts.0))
                .collect::<Vec<_>>()
                .join(" "),
            Err(failed) => failed.text().to_owned(),
        };
        let digest = crate::image::Digest::of(b"").to_string();
        for (spec, expected) in [
            ("type=local,src=/c", r#"Local { folder: "/c", tag: "latest", digest: None } []"#.to_owned()),
            (
                &format!("type=local,src=c,tag=main,digest={digest},\"mounts=/root/.cache,x\""),
                format!(
                    r#"Local {{ folder: "c", tag: "main", digest: Some(BlobDigest({digest})) }} ["/root/.cache", "x"]"#
                ),
            ),
            (
                "type=local,src=c,dest=d",
                r#"--cache-from "type=local,src=c,dest=d": unknown key "dest" for this type"#.to_owned(),
            ),
            ("type=registry", r#"--cache-from "type=registry": it needs ref="#.to_owned()),
            ("type=inline", r#"--cache-from "type=inline": name the image itself: type=registry,ref=NAME"#.to_owned()),
            (
                "type=ftp",
                r#"--cache-from "type=ftp": unknown type "ftp": expected registry, local, s3 or gha"#.to_owned(),
            ),
        ] {
            assert_eq!(read(spec), expected, "{spec}");
        }
        for (spec, names) in
            [("a.example/b:c", vec!["a.example/b:c"]), ("a,b", vec!["a", "b"]), ("ref=a,type=registry", vec!["a"])]
        {
            let places = sources(&[spec.to_owned()]).unwrap_or_else(|failed| panic!("{}", failed.text()));
            let places: Vec<Place> = places.into_iter().map(|source| source.place).collect();
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
