//! Questions about paths, as the passes ask them.

/// Its last component.
pub(super) fn name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
}

/// Whether it is in one of these folders of the root.
pub(super) fn is_in(path: &[u8], folders: &[&str]) -> bool {
    folders.iter().any(|folder| path.strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.starts_with(b"/")))
}

/// Whether some folder on its way has one of these names.
pub(super) fn has_folder(path: &[u8], names: &[&str]) -> bool {
    folders(path).any(|folder| names.iter().any(|name| name.as_bytes() == folder))
}

/// The names of the folders on its way, outermost first.
pub(super) fn folders(path: &[u8]) -> impl Iterator<Item = &[u8]> + Clone {
    let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or_default();
    path[..end].split(|&byte| byte == b'/').filter(|folder| !folder.is_empty())
}

/// Whether its name ends in one of these.
pub(super) fn ends_with(path: &[u8], endings: &[&str]) -> bool {
    endings.iter().any(|ending| name(path).len() > ending.len() && path.ends_with(ending.as_bytes()))
}

/// What follows the package folder of the innermost `node_modules` that it is in: `lib/x.js` of
/// `app/node_modules/@scope/name/lib/x.js`.
pub(super) fn in_node_package(path: &[u8]) -> Option<&[u8]> {
    const FOLDER: &[u8] = b"node_modules/";
    let at = path.windows(FOLDER.len()).rposition(|window| window == FOLDER)?;
    let rest = &path[at + FOLDER.len()..];
    let after = |path: &'_ [u8]| path.iter().position(|&byte| byte == b'/').map(|slash| slash + 1);
    let scope = if rest.starts_with(b"@") { after(rest)? } else { 0 };
    Some(&rest[scope + after(&rest[scope..])?..])
}

/// What follows the folder that Python packages are installed in: `numpy/x.py` of `lib/site-packages/numpy/x.py`.
pub(super) fn in_python_site(path: &[u8]) -> Option<&[u8]> {
    [&b"/site-packages/"[..], b"/dist-packages/"].iter().find_map(|folder| {
        let at = path.windows(folder.len()).rposition(|window| window == *folder)?;
        Some(&path[at + folder.len()..])
    })
}
