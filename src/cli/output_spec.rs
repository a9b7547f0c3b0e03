//! What `--output` says: keys and values, spelled as buildx spells them.
//!
//! | type | goes to | keys of its own |
//! |---|---|---|
//! | `registry` | the registries of its names | `push-by-digest` |
//! | `image` | the local store, and with `push=true` the registries | `push`, `push-by-digest`, `name-canonical` |
//! | `containerd` | containerd, if this program was built for it | `address`, `namespace`, `unpack`, `snapshotter`, `name-canonical` |
//! | `oci`, `docker` | a layout in the file or, with `tar=false`, the folder `dest`; `docker` without one: the engine | `dest`, `tar` |
//! | `tar` | the files, in the tar `dest` | `dest`, `platform-split` |
//! | `local` | the files, in the folder `dest` | `dest`, `platform-split`, `mode` |
//!
//! Those that take images also have `name`, `compression`, `compression-level`, `force-compression`, `oci-mediatypes`,
//! and `annotation` at its levels.

use super::{
    Failed,
    keys::{Keys, split_outside},
};
use crate::{
    export::{Annotation, AnnotationLevel, Containerd, ImageOptions, Layout},
    pipeline::{Dest, Destination, Target},
};
use flashbuild_frontend::{platform::Platform, reference::Reference};
use std::path::PathBuf;

/// Reads an `--output`; `image` is what holds where it says nothing.
pub(super) fn destination(spec: &str, image: &ImageOptions) -> Result<Destination, Failed> {
    if !spec.contains('=') {
        let plain = |target| Ok(Destination { target, image: image.clone(), names: None });
        return match spec {
            "-" => plain(Target::Tar { dest: Dest::Stdout, split: None }),
            folder => plain(Target::Local { dest: folder.into(), split: None, deletes: false }),
        };
    }
    let mut keys = Keys::read("--output", spec)?;
    let kind = keys.text("type").ok_or_else(|| keys.wrong("it has no type="))?;
    let destination = match kind.as_str() {
        "registry" => {
            keys.flag("push")?;
            let target = Target::Registry { by_digest: keys.flag("push-by-digest")?.unwrap_or(false) };
            keys.image_destination(target, image, false)?
        }
        "image" => {
            let by_digest = keys.flag("push-by-digest")?.unwrap_or(false);
            let pushes = keys.flag("push")?.unwrap_or(false);
            keys.flag("store")?;
            let canonical = keys.flag("name-canonical")?.unwrap_or(false);
            let target = if pushes { Target::Registry { by_digest } } else { Target::Store { canonical } };
            keys.image_destination(target, image, false)?
        }
        "containerd" => {
            let known = Containerd::default();
            let containerd = Containerd {
                address: keys.text("address").map_or(known.address, Into::into),
                namespace: keys.text("namespace").unwrap_or(known.namespace),
                unpack: keys.flag("unpack")?.unwrap_or(known.unpack),
                snapshotter: keys.text("snapshotter").unwrap_or(known.snapshotter),
            };
            let canonical = keys.flag("name-canonical")?.unwrap_or(false);
            keys.image_destination(Target::Containerd { containerd, canonical }, image, false)?
        }
        "oci" | "docker" => {
            let layout = if kind == "oci" { Layout::Oci } else { Layout::Docker };
            let is_tar = keys.flag("tar")?.unwrap_or(true);
            let target = match (keys.dest(), layout) {
                (None, Layout::Docker) => Target::Engine,
                (None, Layout::Oci) => return Err(keys.wrong("it needs dest=")),
                (Some(dest), layout) if is_tar => Target::Archive { dest, layout },
                (Some(Dest::File(dest)), layout) => Target::Folder { dest, layout },
                (Some(Dest::Stdout), _) => return Err(keys.wrong("a folder cannot go to standard output")),
            };
            keys.image_destination(target, image, layout == Layout::Docker)?
        }
        "tar" => {
            let dest = keys.dest().ok_or_else(|| keys.wrong("it needs dest="))?;
            let target = Target::Tar { dest, split: keys.flag("platform-split")? };
            Destination { target, image: image.clone(), names: None }
        }
        "local" => {
            let Some(Dest::File(dest)) = keys.dest() else { return Err(keys.wrong("it needs dest=")) };
            let deletes = match keys.text("mode").as_deref() {
                None | Some("copy") => false,
                Some("delete") => true,
                Some(other) => return Err(keys.wrong(&format!("mode={other}: expected copy or delete"))),
            };
            let target = Target::Local { dest, split: keys.flag("platform-split")?, deletes };
            Destination { target, image: image.clone(), names: None }
        }
        other => {
            let known = "registry, image, oci, docker, tar or local";
            return Err(keys.wrong(&format!("unknown type {other:?}: expected {known}")));
        }
    };
    keys.end()?;
    Ok(destination)
}

/// Reads an `--annotation`: levels, if it names some, and the pair. Without a level it is the manifest's.
pub(super) fn annotation_flag(text: &str) -> Result<Vec<Annotation>, Failed> {
    let wrong = |why: &str| Failed::usage(format!("--annotation {text:?}: {why}"));
    let (key, value) = text.split_once('=').ok_or_else(|| wrong("expected [LEVEL:]KEY=VALUE"))?;
    let (levels, key) = match key.split_once(':') {
        Some((levels, key)) => (levels, key),
        None => ("manifest", key),
    };
    if key.is_empty() {
        return Err(wrong("it has no key"));
    }
    let read = |name: &str| -> Result<Annotation, Failed> {
        let (level, platform) = level(name.trim()).map_err(|why| wrong(&why))?;
        Ok(Annotation { level, platform, key: key.to_owned(), value: value.to_owned() })
    };
    split_outside(levels, ',', '[', ']').into_iter().map(read).collect()
}

/// `manifest[linux/amd64]`, `index`, and so on.
fn level(text: &str) -> Result<(AnnotationLevel, Option<Platform>), String> {
    let (name, platform) = match text.split_once('[') {
        None => (text, None),
        Some((name, rest)) => {
            let platform = rest.strip_suffix(']').ok_or("a [ without its ]")?;
            (name, Some(platform.parse::<Platform>().map_err(|error| error.to_string())?))
        }
    };
    let level = match name {
        "manifest" => AnnotationLevel::Manifest,
        "manifest-descriptor" => AnnotationLevel::ManifestDescriptor,
        "index" => AnnotationLevel::Index,
        "index-descriptor" => AnnotationLevel::IndexDescriptor,
        other => {
            return Err(format!(
                "unknown level {other:?}: expected manifest, manifest-descriptor, index or index-descriptor"
            ));
        }
    };
    Ok((level, platform))
}

impl Keys<'_> {
    fn dest(&mut self) -> Option<Dest> {
        let dest = self.text("dest")?;
        Some(if dest == "-" { Dest::Stdout } else { Dest::File(PathBuf::from(dest)) })
    }

    /// What is left of an output that takes images.
    fn image_destination(
        &mut self,
        target: Target,
        defaults: &ImageOptions,
        docker_types: bool,
    ) -> Result<Destination, Failed> {
        let names = match self.text("name") {
            None => None,
            Some(names) => {
                let parsed: Result<Vec<Reference>, _> = names.split(',').map(|name| name.trim().parse()).collect();
                Some(parsed.map_err(|error| self.wrong(&error.to_string()))?)
            }
        };
        let mut image = defaults.clone();
        image.compression = self.compression(defaults.compression)?;
        image.force_compression = self.flag("force-compression")?.unwrap_or(false);
        image.docker_types = self.flag("oci-mediatypes")?.map_or(docker_types, |oci| !oci);
        // Times are clamped to SOURCE_DATE_EPOCH in every layer that is made here, whether it is asked for or not.
        self.flag("rewrite-timestamp")?;
        let annotations: Vec<String> =
            self.values.keys().filter(|key| key.starts_with("annotation")).cloned().collect();
        for key in annotations {
            let value = self.values.remove(&key).unwrap_or_default();
            image.annotations.push(self.annotation(&key, value)?);
        }
        Ok(Destination { target, image, names })
    }

    /// `annotation.KEY`, `annotation-index.KEY`, `annotation-manifest[linux/amd64].KEY`.
    fn annotation(&self, name: &str, value: String) -> Result<Annotation, Failed> {
        let rest = name.strip_prefix("annotation").unwrap_or_default();
        let end = rest.find(']').map_or(0, |bracket| bracket + 1);
        let dot = rest[end..].find('.').ok_or_else(|| self.wrong(&format!("{name}: expected annotation.KEY")))? + end;
        let (at, key) = (&rest[..dot], rest[dot + 1..].to_owned());
        let at = match at.strip_prefix('-') {
            Some(named) => named.to_owned(),
            None => format!("manifest{at}"),
        };
        let (level, platform) = level(&at).map_err(|why| self.wrong(&format!("{name}: {why}")))?;
        Ok(Annotation { level, platform, key, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(spec: &str) -> String {
        match destination(spec, &ImageOptions::default()) {
            Ok(Destination { target, image, names }) => {
                let names: Vec<String> = names.into_iter().flatten().map(|name| name.familiar()).collect();
                let notes: Vec<String> = image
                    .annotations
                    .iter()
                    .map(|note| format!("{:?} {}={}", note.level, note.key, note.value))
                    .collect();
                let docker = if image.docker_types { " docker" } else { "" };
                let force = if image.force_compression { " force" } else { "" };
                format!("{target:?} {}{docker}{force} {names:?} {notes:?}", image.compression)
            }
            Err(failed) => failed.text().to_owned(),
        }
    }

    #[test]
    fn outputs_are_read_as_buildx_reads_them() {
        for (spec, expected) in [
            ("out", r#"Local { dest: "out", split: None, deletes: false } gzip:6 [] []"#),
            ("-", "Tar { dest: Stdout, split: None } gzip:6 [] []"),
            (
                "type=local,dest=o,platform-split=false,mode=delete",
                r#"Local { dest: "o", split: Some(false), deletes: true } gzip:6 [] []"#,
            ),
            (
                r#"type=image,"name=a:1,b.example/c",push=true,oci-mediatypes=false"#,
                r#"Registry { by_digest: false } gzip:6 docker ["a:1", "b.example/c:latest"] []"#,
            ),
            ("type=registry,push-by-digest=true", "Registry { by_digest: true } gzip:6 [] []"),
            (
                "type=oci,dest=x.tar,compression=zstd,compression-level=9,force-compression=true",
                r#"Archive { dest: File("x.tar"), layout: Oci } zstd:9 force [] []"#,
            ),
            ("type=oci,dest=x,tar=false", r#"Folder { dest: "x", layout: Oci } gzip:6 [] []"#),
            ("type=docker", "Engine gzip:6 docker [] []"),
            ("type=docker,dest=-", "Archive { dest: Stdout, layout: Docker } gzip:6 docker [] []"),
            (
                "type=image,annotation.a.b=1,annotation-index.c=2,annotation-manifest[linux/arm64].d.e=3",
                r#"Store { canonical: false } gzip:6 [] ["Index c=2", "Manifest d.e=3", "Manifest a.b=1"]"#,
            ),
            ("type=image,name-canonical=true", "Store { canonical: true } gzip:6 [] []"),
            (
                "type=containerd,address=/s,namespace=n,unpack=true,snapshotter=native,name-canonical=true",
                r#"Containerd { containerd: Containerd { address: "/s", namespace: "n", unpack: true, snapshotter: "native" }, canonical: true } gzip:6 [] []"#,
            ),
            ("type=oci", r#"--output "type=oci": it needs dest="#),
            ("dest=x", r#"--output "dest=x": it has no type="#),
            (
                "type=local,dest=x,push=true",
                r#"--output "type=local,dest=x,push=true": unknown key "push" for this type"#,
            ),
            ("type=image,push=maybe", r#"--output "type=image,push=maybe": push=maybe: expected true or false"#),
            (
                "type=image,compression-level=99",
                r#"--output "type=image,compression-level=99": compression-level=99: gzip:6 has no such level"#,
            ),
        ] {
            assert_eq!(read(spec), expected, "{spec}");
        }
    }

    #[test]
    fn an_annotation_names_its_levels() {
        let read = |text| match annotation_flag(text) {
            Ok(all) => all
                .into_iter()
                .map(|note| {
                    let platform = note.platform.map(|platform| platform.to_string()).unwrap_or_default();
                    format!("{:?}({platform}) {}={}", note.level, note.key, note.value)
                })
                .collect::<Vec<_>>()
                .join(" "),
            Err(failed) => failed.text().to_owned(),
        };
        for (text, expected) in [
            ("a=b", "Manifest() a=b"),
            ("index,manifest[linux/arm64]:a=b:c", "Index() a=b:c Manifest(linux/arm64) a=b:c"),
            ("index-descriptor:a=", "IndexDescriptor() a="),
            (
                "nowhere:a=b",
                "--annotation \"nowhere:a=b\": unknown level \"nowhere\": expected manifest, manifest-descriptor, index or index-descriptor",
            ),
            ("a", "--annotation \"a\": expected [LEVEL:]KEY=VALUE"),
        ] {
            assert_eq!(read(text), expected, "{text}");
        }
    }
}
