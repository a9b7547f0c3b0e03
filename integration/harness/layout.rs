//! An OCI image layout, as `-o type=oci,tar=false` writes it.

use flashbuild::image::Digest;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A layout whose blobs all are what their names say.
pub(crate) struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Opens a layout and reads every byte of it.
    pub(crate) fn verified(dir: &Path) -> Self {
        for blob in fs::read_dir(dir.join("blobs/sha256")).expect("a layout has blobs").map(Result::unwrap) {
            let digest = Digest::of(&fs::read(blob.path()).unwrap()).hex();
            assert_eq!(blob.file_name().to_str(), Some(digest.as_str()), "a blob's name is its digest");
        }
        Self { dir: dir.to_owned() }
    }

    /// Layers of the image of this architecture, lowest first: their descriptors.
    pub(crate) fn layers(&self, architecture: &str) -> Vec<Value> {
        let top = self.json("index.json");
        let mut images = self.blob(&top["manifests"][0]);
        if let Some(manifests) = images["manifests"].as_array() {
            let mut ours = manifests.iter().filter(|image| image["platform"]["architecture"] == architecture);
            images = self.blob(ours.next().unwrap_or_else(|| panic!("no image for {architecture}: {manifests:?}")));
        }
        images["layers"].as_array().expect("a manifest has layers").clone()
    }

    fn blob(&self, descriptor: &Value) -> Value {
        let digest = descriptor["digest"].as_str().expect("a descriptor has a digest");
        self.json(&format!("blobs/{}", digest.replace(':', "/")))
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_slice(&fs::read(self.dir.join(name)).unwrap()).unwrap()
    }
}
