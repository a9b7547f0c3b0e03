//! Cases as data: one file a case, and what is expected of it beside it.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Compares what `describe` says of every `.dockerfile` in `testdata/FOLDER`, by its name and its text, with the file of the
/// same name that ends in `extension`. `UPDATE_EXPECT=1` rewrites those.
pub(in crate::dockerfile) fn check(folder: &str, extension: &str, mut describe: impl FnMut(&str, &str) -> String) {
    for (path, text) in cases(folder) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let found = describe(name, &text);
        let expectation = path.with_extension(extension);
        if env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&expectation, &found).unwrap();
        }
        let expected = fs::read_to_string(&expectation).unwrap_or_default();
        assert_eq!(found, expected, "{name}: run with UPDATE_EXPECT=1 if the new answer is right");
    }
}

/// Every `.dockerfile` in `testdata/FOLDER`, by name, with its text.
pub(in crate::dockerfile) fn cases(folder: &str) -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "dockerfile"));
    paths.sort();
    assert!(!paths.is_empty(), "no cases in {}", folder.display());
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}
