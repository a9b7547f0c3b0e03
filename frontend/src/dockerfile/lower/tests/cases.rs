//! `testdata/lower/NAME.dockerfile` with its graph in `NAME.graph`, and `testdata/lower-error/NAME.dockerfile` with the
//! diagnostics in `NAME.stderr`.

use super::{asked::Asked, dump::dump};
use crate::dockerfile::tests::expect::check;

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
    check("lower-error", "stderr", |name, text| match Asked::read(text).build(text) {
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
