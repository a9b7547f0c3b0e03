//! `node_modules/.package-lock.json`: npm's note of what it put there, so that its later commands need not look.
//!
//! It is the project's lock without the project and without what was left out, entry by entry as written.

use super::package_lock::Ordered;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::{collections::BTreeSet, fmt::Write as _};

/// Where it is, relative to the project's folder.
pub(super) const PATH: &str = "node_modules/.package-lock.json";

/// The note for those packages of the lock `text` that lie at `installed`. `None` if `text` is not such a lock.
pub(super) fn write(text: &str, installed: &BTreeSet<&str>) -> Option<String> {
    let file: File<'_> = serde_json::from_str(text).ok()?;
    let mut written = String::from("{\n");
    for (name, value) in [("name", &file.name), ("version", &file.version)] {
        if let Some(value) = value {
            writeln!(written, "  \"{name}\": {},", value.get()).ok()?;
        }
    }
    written += "  \"lockfileVersion\": 3,\n  \"requires\": true,\n  \"packages\": {";
    let kept = file.packages.0.iter().filter(|(path, _)| installed.contains(path.as_str()));
    let mut separator = "\n";
    for (path, entry) in kept {
        let path = serde_json::to_string(path).ok()?;
        write!(written, "{separator}    {path}: {}", entry.get()).ok()?;
        separator = ",\n";
    }
    written += if separator == "\n" { "}\n}\n" } else { "\n  }\n}\n" };
    Some(written)
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    version: Option<&'a RawValue>,
    #[serde(borrow, default)]
    packages: Ordered<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_stay_as_they_are_written() {
        let lock = r#"{
  "name": "app",
  "lockfileVersion": 2,
  "requires": true,
  "packages": {
    "": {
      "name": "app"
    },
    "node_modules/a": {
      "version": "1.0.0",
      "engines": { "node": ">=4" }
    },
    "node_modules/b": {
      "version": "2.0.0"
    }
  },
  "dependencies": {}
}
"#;
        let expected = r#"{
  "name": "app",
  "lockfileVersion": 3,
  "requires": true,
  "packages": {
    "node_modules/a": {
      "version": "1.0.0",
      "engines": { "node": ">=4" }
    }
  }
}
"#;
        assert_eq!(write(lock, &BTreeSet::from(["node_modules/a"])).unwrap(), expected);
        assert!(write(lock, &BTreeSet::new()).unwrap().ends_with("\"packages\": {}\n}\n"));
    }
}
