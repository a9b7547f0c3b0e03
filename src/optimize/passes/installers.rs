//! Installers of packages that come with Python and Node, and that nobody calls once the packages are there.

use super::{Action, Candidate, Pass, Trust, path};

pub(super) const PASS: Pass = Pass {
    name: "installers",
    title: "pip, npm and their like",
    safe: "they install packages; an image that has its packages needs them only if it installs more while it runs, or is \
           started by `npm start` and the like",
    trust: Trust::Profile,
    action: Action::Remove(takes),
};

/// Folders that Python has them in, beside its packages or among its own modules.
const OF_PYTHON: &[&str] = &["pip", "wheel", "ensurepip"];
/// Folders of global packages that Node's distributions have them in.
const OF_NODE: &[&str] = &["npm", "corepack", "yarn", "pnpm"];
const COMMANDS: &[&str] = &["npm", "npx", "corepack", "yarn", "yarnpkg", "pnpm", "pnpx", "wheel"];

fn takes(file: &Candidate<'_>) -> bool {
    of_python(file.path) || of_node(file.path) || is_command(file.path)
}

fn of_python(file: &[u8]) -> bool {
    let first = |rest: &[u8]| rest.split(|&byte| byte == b'/').next().unwrap_or_default().to_vec();
    if let Some(rest) = path::in_python_site(file) {
        let folder = first(rest);
        let is_information = folder.ends_with(b".dist-info");
        return folder.len() < rest.len()
            && OF_PYTHON.iter().any(|tool| match folder.strip_prefix(tool.as_bytes()) {
                Some(more) => more.is_empty() || is_information && more.starts_with(b"-"),
                None => false,
            });
    }
    // `lib/python3.11/ensurepip`, where its own modules are.
    let mut folders = path::folders(file).skip_while(|folder| !folder.starts_with(b"python3."));
    folders.next().is_some() && folders.next() == Some(b"ensurepip")
}

/// Packages of these names that an application has among its own stay.
fn of_node(file: &[u8]) -> bool {
    let places = ["usr/lib/node_modules/", "usr/local/lib/node_modules/", "usr/share/nodejs/"];
    let below = places.iter().find_map(|place| file.strip_prefix(place.as_bytes()));
    below.is_some_and(|rest| {
        let mut parts = rest.split(|&byte| byte == b'/');
        let folder = parts.next().unwrap_or_default();
        parts.next().is_some() && OF_NODE.iter().any(|tool| tool.as_bytes() == folder)
    })
}

fn is_command(file: &[u8]) -> bool {
    let name = path::name(file);
    // `pip`, `pip3`, `pip3.11`
    let is_pip = name.strip_prefix(b"pip").is_some_and(|version| {
        version.is_empty() || version[0] == b'3' && version.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
    });
    path::folders(file).last() == Some(b"bin") && (is_pip || COMMANDS.iter().any(|command| command.as_bytes() == name))
}
