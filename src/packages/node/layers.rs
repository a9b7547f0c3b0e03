//! The packages of one platform as layers.
//!
//! | layers | why |
//! |---|---|
//! | packages that run everywhere, in the bins of all ecosystems | a new version of a package changes one layer |
//! | packages for some machines, likewise | the others are the same blobs for all platforms |
//! | links and npm's own notes | they change with every change of the lock, and are small |

use super::{
    bin::Bins,
    lock::{Lock, Package, Source, name_in_path, relative},
};
use crate::packages::packing;
use flashbuild_frontend::package::{
    ArtifactHash, Package as Artifact, PackageContent, PackageFile, PackageLayout, PackageOp, Room, TarballLayout,
};
use std::collections::{BTreeMap, BTreeSet};

/// A package that is unpacked: its position in the lock and its tarball.
pub(super) struct Unpacked {
    pub(super) index: usize,
    pub(super) artifact: ArtifactHash,
}

/// The layers of `kept`, positions in `lock`, below the absolute path `prefix`. `unpacked` are those with a tarball.
pub(super) fn layers(
    lock: &Lock,
    kept: &[usize],
    unpacked: &[Unpacked],
    prefix: &str,
    mut files: Vec<PackageFile>,
    room: Room,
) -> Vec<PackageOp> {
    let programs = programs(lock, kept);
    let mut common = Vec::new();
    let mut native = Vec::new();
    for Unpacked { index, artifact } in unpacked {
        let package = &lock.packages[*index];
        let linked = programs.get(index);
        let layout = TarballLayout {
            folder: join(prefix, &package.path),
            bin_folders: linked
                .map(|linked| linked.folders.iter().map(|folder| join(prefix, folder)).collect())
                .unwrap_or_default(),
            programs: linked.map_or_else(|| Some(Bins::new()), |linked| linked.programs.clone()),
        };
        let bound = &package.runs_on;
        let anywhere = bound.os.is_empty() && bound.cpu.is_empty() && bound.libc.is_empty();
        if anywhere { &mut common } else { &mut native }.push(Artifact {
            name: package.name.clone(),
            version: package.version.clone(),
            artifact: artifact.clone(),
            layout: PackageLayout::Tarball(layout),
            part: None,
        });
    }
    files.extend(links(lock, kept, &programs, prefix));
    files.sort_by(|a, b| a.path.cmp(&b.path));
    // Locks of this ecosystem do not have sizes.
    let without_sizes = |packages: Vec<Artifact>| packages.into_iter().map(|package| (package, None)).collect();
    let mut layers = packing::by_name(without_sizes(common), packing::Share::Most, room);
    layers.extend(packing::by_name(without_sizes(native), packing::Share::Few, room));
    if !files.is_empty() {
        layers.push(PackageOp { packages: Vec::new(), files });
    }
    layers
}

/// Programs of one package, and the folders that they are linked in.
struct Linked {
    folders: BTreeSet<String>,
    programs: Option<Bins>,
}

/// Who is linked where. Of two programs of one name in a folder, that of the first package stays: the one that is less
/// deep, then the one whose path comes first.
fn programs(lock: &Lock, kept: &[usize]) -> BTreeMap<usize, Linked> {
    let mut found: BTreeMap<usize, Linked> = BTreeMap::new();
    let mut order: Vec<usize> = kept.to_vec();
    order.sort_by_key(|index| {
        let path = &lock.packages[*index].path;
        (path.matches("node_modules/").count(), path.to_lowercase())
    });
    let mut taken: BTreeSet<(String, String)> = BTreeSet::new();
    for index in order {
        let package = &lock.packages[index];
        let bins = match &package.source {
            Source::Link { target } => {
                lock.packages.iter().find(|member| member.path == *target).map(|member| &member.bins)
            }
            Source::Tarball { .. } | Source::Bundled => Some(&package.bins),
            Source::Project | Source::Elsewhere(_) => None,
        };
        let folder = bin_folder(package);
        let free = |(name, file): (&String, &String)| {
            taken.insert((folder.clone(), name.clone())).then(|| (name.clone(), file.clone()))
        };
        let programs: Bins = bins.into_iter().flatten().filter_map(free).collect();
        if !programs.is_empty() {
            found.insert(index, Linked { folders: BTreeSet::from([folder]), programs: Some(programs) });
        }
    }
    let kept: BTreeSet<usize> = kept.iter().copied().collect();
    for link in lock.links.iter().filter(|link| kept.contains(&link.target)) {
        if let Some(folder) = &link.bins {
            let linked = found.entry(link.target).or_insert(Linked { folders: BTreeSet::new(), programs: None });
            linked.folders.insert(folder.clone());
        }
    }
    found
}

/// `.bin` of the `node_modules` that the package is in.
fn bin_folder(package: &Package) -> String {
    let name = name_in_path(&package.path).unwrap_or_default();
    format!("{}.bin", &package.path[..package.path.len() - name.len()])
}

/// All links that no tarball brings along.
fn links(lock: &Lock, kept: &[usize], programs: &BTreeMap<usize, Linked>, prefix: &str) -> Vec<PackageFile> {
    let link = |path: &str, target: &str| PackageFile {
        path: join(prefix, path),
        mode: 0o777,
        content: PackageContent::Link(relative(path, target)),
    };
    let mut links = Vec::new();
    let is_kept: BTreeSet<usize> = kept.iter().copied().collect();
    for &index in kept {
        let package = &lock.packages[index];
        match &package.source {
            Source::Link { target } => links.push(link(&package.path, target)),
            Source::Bundled => {}
            Source::Tarball { .. } | Source::Project | Source::Elsewhere(_) => continue,
        }
        if let Some(linked) = programs.get(&index) {
            for (name, file) in linked.programs.iter().flatten() {
                let at = linked.folders.iter().map(|bin| format!("{bin}/{name}"));
                links.extend(at.map(|path| link(&path, &format!("{}/{file}", package.path))));
            }
        }
    }
    let there = |link: &&super::lock::Link| {
        is_kept.contains(&link.target) && link.owner.is_none_or(|owner| is_kept.contains(&owner))
    };
    links.extend(lock.links.iter().filter(there).map(|it| link(&it.path, &lock.packages[it.target].path)));
    links
}

fn join(prefix: &str, path: &str) -> String {
    format!("{}/{path}", prefix.trim_end_matches('/'))
}
