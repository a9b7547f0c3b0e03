//! `testdata/lower/NAME.dockerfile` with its graph in `NAME.graph`, and `testdata/lower-error/NAME.dockerfile` with the
//! diagnostics in `NAME.stderr`.
//!
//! `UPDATE_EXPECT=1` rewrites what is expected.

use super::{asked::Asked, dump::dump};
use std::{
    env, fs,
    path::{Path, PathBuf},
};

#[test]
fn files_have_their_graphs() {
    check("lower", "graph", |name, text| match Asked::read(text).lower(text) {
        Ok(lowered) => {
            layers_are_accounted_for(name, &lowered.graph);
            dump(&lowered)
        }
        Err(errors) => panic!("{name}: {errors:#?}"),
    });
}

#[test]
fn errors_point_and_hint() {
    check("lower-error", "stderr", |name, text| match Asked::read(text).lower(text) {
        Ok(lowered) => panic!("{name} lowers:\n{}", dump(&lowered)),
        Err(errors) => errors.iter().map(|error| error.render(name, text, false) + "\n").collect(),
    });
}

/// Every layer that a node adds is told in the history, and no other.
fn layers_are_accounted_for(name: &str, graph: &crate::graph::Graph) {
    use crate::graph::Op;
    for output in &graph.outputs {
        let mut layers = 0;
        let mut below = Some(output.root);
        while let Some(id) = below {
            let node = graph.node(id);
            below = node.inputs.first().copied();
            layers += match node.op {
                Op::Exec(_) | Op::File(_) | Op::Package(_) => 1,
                Op::Merge => node.inputs.len().saturating_sub(1),
                Op::Image(_) | Op::Local(_) | Op::Http(_) | Op::Git(_) => 0,
            };
        }
        let told = output.steps.iter().filter(|step| step.layer).count();
        assert_eq!(layers, told, "{name}");
    }
}

/// Compares what `describe` says of every `.dockerfile` in `folder` with the file of the same name that ends in
/// `extension`.
fn check(folder: &str, extension: &str, describe: impl Fn(&str, &str) -> String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata").join(folder);
    let mut sources: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "dockerfile"));
    sources.sort();
    assert!(!sources.is_empty(), "no cases in {}", folder.display());
    for source in sources {
        let name = source.file_name().unwrap().to_str().unwrap();
        let found = describe(name, &fs::read_to_string(&source).unwrap());
        let expectation = source.with_extension(extension);
        if env::var_os("UPDATE_EXPECT").is_some() {
            fs::write(&expectation, &found).unwrap();
        }
        let expected = fs::read_to_string(&expectation).unwrap_or_default();
        assert_eq!(found, expected, "{name}: run with UPDATE_EXPECT=1 if the new answer is right");
    }
}
