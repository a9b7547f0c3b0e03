//! Devices of the machine that a step asked for, by path or by a name of the Container Device Interface.
//!
//! A path is that of a device node. Any other name is `VENDOR/CLASS=DEVICE`, looked up in the JSON and YAML files of `/etc/cdi`
//! and `/var/run/cdi` (cncf-tags/container-device-interface, SPEC.md), which the administrator of the machine or a driver put
//! there. Of what such a file asks for, variables, device nodes and mounts are given, read-only; hooks, which would
//! run programs of the machine, are not.

use super::ExecError;
use crate::sandbox::{MountSource, StepMount};
use flashbuild_frontend::graph::Device;
use serde::Deserialize;
use std::{
    fs,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
};

/// Where device files are; the later wins.
const FOLDERS: [&str; 2] = ["/etc/cdi", "/var/run/cdi"];

/// What a device brings.
#[derive(Debug, Default)]
pub(super) struct Brought {
    pub(super) mounts: Vec<StepMount>,
    pub(super) env: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct DeviceFile {
    kind: String,
    #[serde(default)]
    devices: Vec<NamedDevice>,
    #[serde(default, rename = "containerEdits")]
    edits: Edits,
}

#[derive(Debug, Deserialize)]
struct NamedDevice {
    name: String,
    #[serde(default, rename = "containerEdits")]
    edits: Edits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Edits {
    env: Vec<String>,
    device_nodes: Vec<Node>,
    mounts: Vec<Mount>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    path: PathBuf,
    host_path: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mount {
    host_path: PathBuf,
    container_path: PathBuf,
}

/// What a device brings; nothing if it is absent and not required.
pub(super) fn find(device: &Device) -> Result<Option<Brought>, ExecError> {
    let found = if device.name.starts_with('/') {
        let path = Path::new(&device.name);
        is_device(path).then(|| Brought { mounts: vec![node(path, path)], env: Vec::new() })
    } else {
        let folders = FOLDERS.map(Path::new);
        folders.iter().rev().find_map(|folder| in_folder(folder, &device.name))
    };
    match found {
        None if device.required => Err(ExecError::NoDevice(device.name.clone())),
        found => Ok(found),
    }
}

fn is_device(path: &Path) -> bool {
    // A link is followed: `/dev/disk/by-id/…` names a device too.
    fs::metadata(path).is_ok_and(|found| found.file_type().is_char_device() || found.file_type().is_block_device())
}

fn in_folder(folder: &Path, name: &str) -> Option<Brought> {
    let (kind, device) = name.split_once('=')?;
    let files = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    for file in files {
        // What cannot be read describes nothing.
        let Some(file) = read(&file) else { continue };
        if file.kind != kind {
            continue;
        }
        if let Some(named) = file.devices.into_iter().find(|known| known.name == device) {
            let mut brought = Brought::default();
            brought.add(file.edits);
            brought.add(named.edits);
            return Some(brought);
        }
    }
    None
}

/// A file in one of the two formats that the specification has for it.
fn read(file: &Path) -> Option<DeviceFile> {
    match file.extension()?.to_str()? {
        "json" => serde_json::from_slice(&fs::read(file).ok()?).ok(),
        "yaml" | "yml" => serde_saphyr::from_str(&fs::read_to_string(file).ok()?).ok(),
        _ => None,
    }
}

impl Brought {
    fn add(&mut self, edits: Edits) {
        self.env.extend(edits.env);
        let nodes = edits.device_nodes.iter();
        self.mounts.extend(nodes.map(|found| node(found.host_path.as_ref().unwrap_or(&found.path), &found.path)));
        self.mounts.extend(edits.mounts.into_iter().map(|mount| StepMount {
            target: mount.container_path,
            source: MountSource::Host(mount.host_path),
            read_only: true,
        }));
    }
}

fn node(host: &Path, target: &Path) -> StepMount {
    StepMount { target: target.to_owned(), source: MountSource::Host(host.to_owned()), read_only: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_found_by_its_kind_and_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("broken.json"), "{").unwrap();
        let text = r#"{"cdiVersion": "0.6.0", "kind": "vendor.com/gpu", "containerEdits": {"env": ["ALL=1"]},
            "devices": [{"name": "0", "containerEdits": {
                "deviceNodes": [{"path": "/dev/gpu0", "hostPath": "/dev/null"}, {"path": "/dev/ctl"}],
                "mounts": [{"hostPath": "/opt/lib", "containerPath": "/usr/lib/gpu", "options": ["ro"]}]}}]}"#;
        fs::write(folder.path().join("gpu.json"), text).unwrap();
        let found = in_folder(folder.path(), "vendor.com/gpu=0").unwrap();
        assert_eq!(found.env, ["ALL=1"]);
        let places: Vec<_> =
            found.mounts.iter().map(|mount| (mount.target.to_str().unwrap(), mount.read_only)).collect();
        assert_eq!(places, [("/dev/gpu0", false), ("/dev/ctl", false), ("/usr/lib/gpu", true)]);
        assert_eq!(found.mounts[0].source, MountSource::Host("/dev/null".into()));
        for name in ["vendor.com/gpu=1", "vendor.com/other=0", "vendor.com/gpu"] {
            assert!(in_folder(folder.path(), name).is_none(), "{name}");
        }
    }

    #[test]
    fn a_device_may_be_described_in_yaml() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("broken.yaml"), "kind: [").unwrap();
        let text = "cdiVersion: 0.6.0\nkind: vendor.com/net\ndevices:\n- name: all\n  containerEdits:\n    env: [NET=1]\n    \
                    deviceNodes:\n    - path: /dev/net0\n";
        for name in ["net.yaml", "net.yml"] {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            let found = in_folder(folder.path(), "vendor.com/net=all").unwrap();
            assert_eq!((found.env.len(), found.mounts.len()), (1, 1), "{name}");
            fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn a_path_is_that_of_a_device_node() {
        let device = |name: &str, required| find(&Device { name: name.to_owned(), required });
        assert_eq!(device("/dev/null", true).unwrap().unwrap().mounts.len(), 1);
        assert!(device("/etc/passwd", false).unwrap().is_none());
        assert!(device("/etc/passwd", true).is_err());
    }
}
