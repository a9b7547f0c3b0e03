//! Messages in other languages.

use super::{Action, Candidate, Pass, Trust, path};

pub(super) const PASS: Pass = Pass {
    name: "locales",
    title: "messages in other languages",
    safe: "without a message in another language, programs show the English one",
    trust: Trust::Profile,
    action: Action::Remove(takes),
};

fn takes(file: &Candidate<'_>) -> bool {
    path::is_in(file.path, &["usr/share/locale", "usr/local/share/locale"])
        && path::has_folder(file.path, &["LC_MESSAGES"])
        || path::is_in(file.path, &["usr/share/i18n"])
}
