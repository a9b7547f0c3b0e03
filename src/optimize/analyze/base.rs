//! How much of the image below the application uses, and what would be left without the rest.
//!
//! What is used is told from files alone: the program that the image runs, every program, library and script above the base,
//! the libraries that those are linked with (`DT_NEEDED`), the interpreters that scripts name, and, of the packages that all
//! these belong to, what they depend on. What a program opens only when it runs is seen by none of this, so the advice is
//! something to try.

use super::Subject;
use crate::{
    layer::{EntryKind, LayerError, View},
    optimize::owner::{Ecosystem, Elf, ImageTree, Inventory},
};
use serde::Serialize;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt::Write as _,
    io::Read as _,
};

/// Bytes of a script that are looked at.
const FIRST_LINE: u64 = 256;
/// Folders that an advice names to copy.
const MOST_COPIED: usize = 20;
/// Programs and libraries that are looked into.
const MOST_FILES: usize = 20_000;

/// The advice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BaseAdvice {
    /// Bytes of the base that a container sees.
    pub bytes: u64,
    /// Packages in the base.
    pub packages: usize,
    /// Those of them that the application uses.
    pub used_packages: usize,
    /// Their bytes.
    pub used_bytes: u64,
    /// Bytes of the image without the rest of the base.
    pub without: u64,
    /// A Dockerfile to try.
    pub dockerfile: String,
}

/// `None` if there is nothing above the base, or the base is not made of Debian packages.
pub(super) fn advice(
    subject: &Subject<'_>,
    tree: &ImageTree<'_>,
    inventory: &Inventory,
) -> Result<Option<BaseAdvice>, LayerError> {
    let is_above = |layer: usize| layer >= subject.base;
    if subject.base == 0 || !inventory.packages.iter().any(|it| it.ecosystem == Ecosystem::Deb) {
        return Ok(None);
    }
    let mut own_bytes = 0;
    let mut base_bytes = 0;
    let mut above: BTreeSet<usize> = BTreeSet::new();
    for hit in subject.view.walk(b"") {
        let EntryKind::File { size, .. } = hit.entry.kind else { continue };
        let owner = inventory.owner_index(&hit.entry.path).filter(|&index| is_deb(inventory, index));
        match (is_above(hit.layer), owner) {
            // The database itself is written anew with every package.
            (true, Some(index)) if !hit.entry.path.starts_with(b"var/lib/dpkg/") => {
                above.insert(index);
            }
            (true, Some(_)) => {}
            (true, None) => own_bytes += size,
            (false, _) => base_bytes += size,
        }
    }
    if own_bytes == 0 && above.is_empty() {
        return Ok(None);
    }
    let mut used = reached(subject, tree, inventory)?;
    used.extend(&above);
    let roots = roots(inventory, &used);
    let used = with_dependencies(inventory, used);
    let of_base: Vec<usize> = (0..inventory.packages.len())
        .filter(|&index| is_deb(inventory, index) && !above.contains(&index) && inventory.packages[index].bytes > 0)
        .collect();
    let used_of_base: Vec<usize> = of_base.iter().copied().filter(|index| used.contains(index)).collect();
    let bytes =
        |packages: &mut dyn Iterator<Item = usize>| packages.map(|index| inventory.packages[index].bytes).sum::<u64>();
    Ok(Some(BaseAdvice {
        bytes: base_bytes,
        packages: of_base.len(),
        used_packages: used_of_base.len(),
        used_bytes: bytes(&mut used_of_base.iter().copied()),
        without: own_bytes + bytes(&mut used.iter().copied()),
        dockerfile: dockerfile(subject, inventory, &roots),
    }))
}

fn is_deb(inventory: &Inventory, index: usize) -> bool {
    inventory.packages[index].ecosystem == Ecosystem::Deb
}

/// The packages of the files that the application leads to.
fn reached(subject: &Subject<'_>, tree: &ImageTree<'_>, inventory: &Inventory) -> Result<BTreeSet<usize>, LayerError> {
    let mut libraries: HashMap<&[u8], &[u8]> = HashMap::new();
    let mut waiting: Vec<Vec<u8>> = programs_of_config(subject);
    for hit in subject.view.walk(b"") {
        let path = hit.entry.path.as_slice();
        let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        if hit.entry.is_dir() {
            continue;
        }
        if name.windows(3).any(|window| window == b".so") {
            libraries.entry(name).or_insert(path);
        }
        let is_code = hit.entry.mode & 0o111 != 0 || name.windows(3).any(|window| window == b".so");
        if hit.layer >= subject.base && is_code && hit.file().is_some() {
            waiting.push(path.to_vec());
        }
    }
    let mut seen: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut packages = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        let Some((_, path)) = tree.file_behind(&path) else { continue };
        if seen.len() >= MOST_FILES || !seen.insert(path.clone()) {
            continue;
        }
        packages.extend(inventory.owner_index(&path).filter(|&index| is_deb(inventory, index)));
        let Some((_, file)) = tree.open(&path)? else { continue };
        let mut first = Vec::new();
        if (&file).take(FIRST_LINE).read_to_end(&mut first).is_err() {
            continue;
        }
        if first.starts_with(b"\x7fELF") {
            let needed = Elf::open(file).map(|elf| elf.needed()).unwrap_or_default();
            waiting.extend(needed.iter().filter_map(|name| libraries.get(name.as_bytes())).map(|path| path.to_vec()));
        } else if let Some(line) = first.strip_prefix(b"#!") {
            let line =
                String::from_utf8_lossy(line.split(|&byte| byte == b'\n').next().unwrap_or_default()).into_owned();
            let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            waiting.extend(words.iter().take(2).flat_map(|word| in_path(subject, word)));
        }
    }
    Ok(packages)
}

/// What the image runs: its first words may be a shell's, or a program that starts another.
fn programs_of_config(subject: &Subject<'_>) -> Vec<Vec<u8>> {
    let config = &subject.config.config;
    let words = config.entrypoint.iter().flatten().chain(config.cmd.iter().flatten());
    words.take(4).flat_map(|word| in_path(subject, word.split_whitespace().next().unwrap_or_default())).collect()
}

/// Where a program may be that is called so.
fn in_path(subject: &Subject<'_>, program: &str) -> Vec<Vec<u8>> {
    if program.starts_with('/') {
        return vec![program.as_bytes().to_vec()];
    }
    if program.is_empty() || program.starts_with('-') || program.contains('/') {
        return Vec::new();
    }
    let path = subject.config.config.env.iter().find_map(|pair| pair.strip_prefix("PATH="));
    let path = path.unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    path.split(':').map(|folder| format!("{folder}/{program}").into_bytes()).collect()
}

/// Packages by name.
fn by_name(inventory: &Inventory) -> BTreeMap<&str, usize> {
    let debs = inventory.packages.iter().enumerate().filter(|(_, it)| it.ecosystem == Ecosystem::Deb);
    debs.map(|(index, package)| (package.name.as_str(), index)).collect()
}

fn with_dependencies(inventory: &Inventory, packages: BTreeSet<usize>) -> BTreeSet<usize> {
    let known = by_name(inventory);
    let mut waiting: Vec<usize> = packages.iter().copied().collect();
    let mut all = packages;
    while let Some(index) = waiting.pop() {
        for name in &inventory.packages[index].depends {
            if let Some(&needed) = known.get(name.as_str())
                && all.insert(needed)
            {
                waiting.push(needed);
            }
        }
    }
    all
}

/// Those that no other one of them brings along.
fn roots(inventory: &Inventory, packages: &BTreeSet<usize>) -> Vec<String> {
    let brought: BTreeSet<usize> = packages
        .iter()
        .flat_map(|&index| {
            let mut others = with_dependencies(inventory, BTreeSet::from([index]));
            others.remove(&index);
            others
        })
        .collect();
    packages.difference(&brought).map(|&index| inventory.packages[index].name.clone()).collect()
}

/// A Dockerfile with the packages, what lies above the base, and what the image says of its containers.
fn dockerfile(subject: &Subject<'_>, inventory: &Inventory, roots: &[String]) -> String {
    let mut text = "FROM scratch\n".to_owned();
    if !roots.is_empty() {
        let _ = writeln!(text, "DEPS apt {}", roots.join(" "));
    }
    let base = View::new(subject.view.layers()[..subject.base].to_vec());
    let mut copied: BTreeSet<Vec<u8>> = BTreeSet::new();
    for hit in subject.view.walk(b"").filter(|hit| hit.layer >= subject.base && !hit.entry.is_dir()) {
        let path = &hit.entry.path;
        let is_packaged = inventory.owner_index(path).is_some_and(|index| is_deb(inventory, index));
        let is_state =
            [&b"var/lib/dpkg/"[..], b"var/log/", b"var/cache/", b"var/lib/apt/"].iter().any(|it| path.starts_with(it));
        if !is_packaged && !is_state {
            // The outermost folder that the base does not have.
            let slashes = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(slash, _)| slash);
            let new = slashes.map(|slash| &path[..slash]).find(|folder| base.lookup(folder).is_none());
            copied.insert(new.unwrap_or(path).to_vec());
        }
    }
    let shown = |path: &[u8]| {
        std::str::from_utf8(path).ok().filter(|text| !text.contains(char::is_whitespace)).map(str::to_owned)
    };
    for path in copied.iter().take(MOST_COPIED).filter_map(|path| shown(path)) {
        let _ = writeln!(text, "COPY --from={0} /{path} /{path}", subject.name);
    }
    if copied.len() > MOST_COPIED {
        let _ = writeln!(text, "# and {} more", copied.len() - MOST_COPIED);
    }
    let config = &subject.config.config;
    for pair in &config.env {
        if let Some((name, value)) = pair.split_once('=') {
            let _ = writeln!(text, "ENV {name}={value:?}");
        }
    }
    for (keyword, value) in [("WORKDIR", &config.working_dir), ("USER", &config.user)] {
        if !value.is_empty() {
            let _ = writeln!(text, "{keyword} {value}");
        }
    }
    for (keyword, words) in [("ENTRYPOINT", &config.entrypoint), ("CMD", &config.cmd)] {
        if let Some(words) = words.as_ref().filter(|words| !words.is_empty()) {
            let _ = writeln!(text, "{keyword} {}", serde_json::to_string(words).unwrap_or_default());
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::{
        layer::EntryKind,
        optimize::{analyze::tests::analysis, owner::testing::*},
    };

    #[test]
    fn what_a_script_leads_to_is_used_and_the_rest_is_not() {
        let package = |name: &str, depends: &str| format!("Package: {name}\nVersion: 1\nDepends: {depends}\n\n");
        let status = [package("interpreter", "libc"), package("libc", ""), package("editor", "libc")].concat();
        let list = |name: &str, path: &str| file(&format!("var/lib/dpkg/info/{name}.list"), format!("{path}\n"));
        let base = vec![
            file("var/lib/dpkg/status", status),
            list("interpreter", "/usr/bin/interpreter"),
            list("libc", "/usr/lib/libc.so.6"),
            list("editor", "/usr/bin/editor"),
            node("bin", EntryKind::Symlink { target: b"usr/bin".to_vec() }),
            program("usr/bin/interpreter", "no ELF"),
            file("usr/lib/libc.so.6", "no ELF either"),
            program("usr/bin/editor", "x".repeat(1000)),
        ];
        let app = vec![program("app/start", "#!/bin/interpreter -x\n"), file("app/data", "data")];
        let advice = analysis(&[("base", base), ("COPY app /app", app)]).base.unwrap();
        assert_eq!((advice.packages, advice.used_packages), (3, 2));
        let database = ["/usr/bin/interpreter\n", "/usr/lib/libc.so.6\n"].map(str::len).iter().sum::<usize>() as u64;
        assert_eq!(advice.used_bytes, 6 + 13 + database);
        assert_eq!(advice.without, advice.used_bytes + 22 + 4);
        assert_eq!(advice.dockerfile, "FROM scratch\nDEPS apt interpreter\nCOPY --from=test /app /app\n");
    }
}
