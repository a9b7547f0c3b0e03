use super::*;
use std::fs;

/// Reads files one over the other, with these variables set; the folder's path is shown as `DIR`.
fn read(texts: &[&str], variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        files.push(folder.path().join(format!("{number}.toml")));
        fs::write(&files[number], text).unwrap();
    }
    files.push(folder.path().join("absent/config.toml"));
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    let hidden = |text: String| text.replace(folder.path().to_str().unwrap(), "DIR");
    let config = Config::read(&files, variable).map_err(|error| hidden(error.to_string()))?;
    let set = config.shown().into_iter().filter(|shown| shown.origin != "default");
    Ok(set.map(|shown| hidden(format!("{} = {} ({})", shown.key, shown.value, shown.origin))).collect())
}

#[test]
fn the_later_wins_key_by_key() {
    let machine = "jobs = 2\nca-certificates = [\"corp.pem\", \"/etc/own.pem\"]\n[gc]\nmax-used-space = \"20GB\"\n";
    let user = "platforms = ['linux/arm64']\njobs = 3\ngc.min-free-space = \"10%\"\n";
    let variables = [("FLASHBUILD_JOBS", "4"), ("FLASHBUILD_GC_ENABLED", "0"), ("FLASHBUILD_PROGRESS", "")];
    assert_eq!(
        read(&[machine, user], &variables).unwrap(),
        [
            "platforms = linux/arm64 (DIR/1.toml:1)",
            "jobs = 4 (FLASHBUILD_JOBS)",
            "ca-certificates = DIR/corp.pem,/etc/own.pem (DIR/0.toml:2)",
            "gc.enabled = false (FLASHBUILD_GC_ENABLED)",
            "gc.max-used-space = 20GB (DIR/0.toml:4)",
            "gc.min-free-space = 10% (DIR/1.toml:3)",
        ]
    );
}

#[test]
fn rules_are_read() {
    let text = "[[gc.policy]]\nkinds = [\"cache-mount\"]\nkeep-duration = \"48h\"\nmax-used-space = \"512MB\"\n\
                [[gc.policy]]\nall = true\nreserved-space = \"1GB\"\n";
    assert_eq!(
        read(&[text], &[]).unwrap(),
        ["gc.policy = { kinds = [\"cache-mount\"], keep-duration = \"172800s\", max-used-space = \"512MB\" }; \
          { reserved-space = \"1GB\", all = true } (DIR/0.toml:1)"]
    );
}

#[test]
fn nothing_is_set_by_nothing() {
    assert_eq!(read(&[], &[]).unwrap(), [""; 0]);
    assert_eq!(read(&["# nothing\n"], &[]).unwrap(), [""; 0]);
    assert!(Config::default().gc.enabled.value);
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    for (text, expected) in [
        ("\njbos = 4\n", "DIR/0.toml:2: there is no key \"jbos\": did you mean \"jobs\"?"),
        (
            "[gc]\n\nmax-used-spcae = 1\n",
            "DIR/0.toml:3: there is no key \"gc.max-used-spcae\": did you mean \"gc.max-used-space\"?",
        ),
        (
            "[[gc.policy]]\nkeep-durations = \"1h\"\n",
            "DIR/0.toml:2: gc.policy: there is no key \"keep-durations\": did you mean \"keep-duration\"?",
        ),
        (
            "[[gc.policy]]\nkeep-duration = \"1\"\n",
            "DIR/0.toml:2: gc.policy: expected a number and a unit: 30m, 24h, 7d",
        ),
        ("jobs = 0\n", "DIR/0.toml:1: jobs: expected a number, at least 1"),
        ("gc = 1\n", "DIR/0.toml:1: gc is a section: [gc]"),
        ("platforms = [\"linux/amd64\",\n \"\"]\n", "DIR/0.toml:1: platforms: "),
        ("ca-certificates = \"one.pem\"\n", "DIR/0.toml:1: ca-certificates: expected an array of texts, found string"),
        ("gc.enabled = \"yes\"\n", "DIR/0.toml:1: gc.enabled: expected true or false"),
        ("jobs = \n", "DIR/0.toml:1: "),
        ("jobs = 1\njobs = 2\n", "DIR/0.toml:2: "),
    ] {
        let error = read(&[text], &[]).unwrap_err();
        assert!(error.starts_with(expected), "{text:?}: {error}");
    }
    let error = read(&[], &[("FLASHBUILD_GC_MAX_USED_SPACE", "lots")]).unwrap_err();
    assert_eq!(error, "FLASHBUILD_GC_MAX_USED_SPACE: \"lots\" is no unit: use MB, GB, MiB or GiB");
    let error = read(&[], &[("FLASHBUILD_GC_POLICY", "x")]).unwrap_err();
    assert_eq!(error, "FLASHBUILD_GC_POLICY: rules can only be written in a file");
}

#[test]
fn no_two_keys_have_one_name() {
    let names: std::collections::BTreeSet<_> = KEYS.iter().map(key::Key::variable).collect();
    assert_eq!(names.len(), KEYS.len());
}
