//! Files that are kept of every image, whatever it was seen to ask for.

use super::name_of;

/// What is kept of every image, each with why. A name that ends in a slash is that of a folder.
const ALWAYS: &[(Place, &str)] = &[
    (Place::At("etc/"), "configuration, which programs read when something happens: name service, certificates, users"),
    (Place::At("usr/share/ca-certificates/"), "certificate authorities"),
    (Place::At("usr/local/share/ca-certificates/"), "certificate authorities"),
    (Place::At("usr/lib/ssl/"), "certificate authorities, and how OpenSSL is configured"),
    (Place::At("usr/share/pki/"), "certificate authorities"),
    (Place::Named("cacert.pem"), "certificate authorities that a package brings"),
    (Place::At("usr/share/zoneinfo/"), "time zones"),
    (Place::At("usr/lib/locale/"), "locales of the C library"),
    (Place::At("usr/share/i18n/locales/C"), "locales of the C library"),
    (Place::Starting("libnss_"), "name service switch: loaded when a name is looked up"),
    (Place::Starting("libgcc_s.so"), "loaded by the C library when a thread is cancelled"),
    (Place::At("usr/lib/os-release"), "what the image is made from"),
];

/// What describes packages, and is of no use to them: of a package of which only that would be left, nothing is left
/// ([`forgotten`](super::forgotten)).
const DESCRIPTIONS: &[(Place, &str)] = &[
    (Place::In(".dist-info"), "what Python packages say of themselves at run time"),
    (Place::In(".egg-info"), "what Python packages say of themselves at run time"),
    (Place::At("var/lib/dpkg/"), "database of packages"),
    (Place::At("lib/apk/db/"), "database of packages"),
    (Place::At("usr/lib/apk/db/"), "database of packages"),
    (Place::At("var/lib/rpm/"), "database of packages"),
    (Place::At("usr/lib/sysimage/rpm/"), "database of packages"),
    (Place::Named("copyright"), "licences: their terms ask for it"),
];

/// Where something is that is always kept.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// The file at this path, or below this folder.
    At(&'static str),
    /// A file of this name, anywhere.
    Named(&'static str),
    /// A file whose name starts like this, anywhere.
    Starting(&'static str),
    /// Below a folder whose name ends like this.
    In(&'static str),
}

/// Whether a file is always kept.
pub(super) fn is_always_kept(path: &[u8]) -> bool {
    is_among(ALWAYS, path) || describes(path)
}

/// Whether a file only describes a package.
pub(super) fn describes(path: &[u8]) -> bool {
    is_among(DESCRIPTIONS, path)
}

fn is_among(places: &[(Place, &str)], path: &[u8]) -> bool {
    let name = name_of(path);
    places.iter().any(|(place, _)| match place {
        Place::At(place) if place.ends_with('/') => path.starts_with(place.as_bytes()),
        Place::At(place) => path == place.as_bytes(),
        Place::Named(place) => name == place.as_bytes(),
        Place::Starting(start) => name.starts_with(start.as_bytes()),
        Place::In(end) => {
            let folders = &path[..path.len() - name.len()];
            folders.split(|&byte| byte == b'/').any(|folder| folder.ends_with(end.as_bytes()))
        }
    })
}
