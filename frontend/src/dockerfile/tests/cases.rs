//! Our own cases: `testdata/dockerfile/parse/NAME.dockerfile` with the tree in `NAME.tree`, and
//! `testdata/dockerfile/error/NAME.dockerfile` with the diagnostics in `NAME.stderr`.

use super::{expect::check, statements, tree};
use crate::dockerfile::Dockerfile;

#[test]
fn texts_have_their_trees() {
    check("dockerfile/parse", "tree", |_, text| {
        assert_eq!(Dockerfile::parse(text).err(), None);
        tree::render(&statements(text).0)
    });
}

#[test]
fn errors_point_and_hint() {
    check("dockerfile/error", "stderr", |name, text| {
        let errors = Dockerfile::parse(text).expect_err(name);
        errors.iter().map(|error| error.render(name, text, false) + "\n").collect()
    });
}
