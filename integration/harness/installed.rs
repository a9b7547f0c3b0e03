//! A root of packages that are installed on this machine (Debian's), to run something big in without fetching it.

use super::{peer, skip};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Stdio,
};

/// An archive of the files of `packages` and of all that they depend on, but for documentation and what is large and rarely
/// needed; nothing if one of them is not installed.
pub(crate) fn tree_of_installed(packages: &[&str]) -> Option<Vec<u8>> {
    let known = peer("dpkg-query")?.args(["-W", "-f", "${Package}\t${Depends},${Pre-Depends}\n"]).output().unwrap();
    let known = String::from_utf8(known.stdout).unwrap();
    let known: BTreeMap<&str, &str> = known.lines().filter_map(|line| line.split_once('\t')).collect();
    if let Some(absent) = packages.iter().find(|package| !known.contains_key(*package)) {
        skip(&format!("the package {absent} is not installed"));
        return None;
    }
    let mut closure: BTreeSet<&str> = BTreeSet::new();
    let mut waiting: Vec<&str> = packages.to_vec();
    while let Some(package) = waiting.pop() {
        if let Some(depends) = known.get(package)
            && closure.insert(package)
        {
            let names = depends.split(',').filter_map(|one| one.trim().split([' ', '(', ':', '|']).next());
            waiting.extend(names);
        }
    }
    let listed = peer("dpkg-query")?.arg("-L").args(&closure).output().unwrap().stdout;
    let files: BTreeSet<&str> = std::str::from_utf8(&listed).unwrap().lines().filter(|path| is_wanted(path)).collect();
    let mut tar = peer("tar")?
        .args(["-c", "--no-recursion", "--numeric-owner", "--sort=name", "-C", "/", "-T", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let names: Vec<&str> = files.iter().map(|path| path.trim_start_matches('/')).collect();
    let mut input = tar.stdin.take().unwrap();
    let list = names.join("\n");
    let writer = std::thread::spawn(move || std::io::Write::write_all(&mut input, list.as_bytes()));
    let output = tar.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "tar failed");
    Some(output.stdout)
}

fn is_wanted(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let is_archive = Path::new(name).extension().is_some_and(|extension| extension == "a");
    let is_large = is_archive && !name.starts_with("libgcc") && !name.starts_with("libc_nonshared")
        || name == "lto1"
        || name.contains("lto-dump")
        || name.starts_with("libtsan")
        || name.starts_with("libasan");
    let is_for_people = ["/usr/share/doc", "/usr/share/man", "/usr/share/locale", "/usr/share/info"]
        .iter()
        .any(|folder| path.starts_with(folder));
    path.starts_with('/') && path != "/." && !is_large && !is_for_people && Path::new(path).symlink_metadata().is_ok()
}
