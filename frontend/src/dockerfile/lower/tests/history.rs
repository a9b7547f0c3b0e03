//! `testdata/history/NAME.dockerfile` and the configuration and history that moby/buildkit makes of it, in `NAME.json`.
//!
//! The expectations were taken from images that its 0.8 (of Docker 20.10) built, with what later versions write otherwise
//! put in its place: ports and health checks in the history, `--chown`, arguments that are declared twice. A `+` in front of
//! a step of the history tells that it has a layer.

use super::asked::Asked;
use crate::dockerfile::tests::expect::cases;
use std::fs;

#[test]
fn configuration_and_history_are_those_of_buildkit() {
    for (path, text) in cases("history") {
        let lowered = Asked::read(&text).lower(&text).unwrap_or_else(|errors| panic!("{}: {errors:?}", path.display()));
        let output = &lowered.graph.outputs[0];
        let mut found = serde_json::to_value(&output.config).unwrap();
        found.as_object_mut().unwrap().remove("rootfs");
        let mark = |layer| if layer { '+' } else { '-' };
        let history = output.steps.iter().map(|step| format!("{} {}", mark(step.layer), step.created_by));
        found["history"] = history.collect();
        let expected: serde_json::Value =
            serde_json::from_str(&fs::read_to_string(path.with_extension("json")).unwrap()).unwrap();
        assert_eq!(found, expected, "{}", path.display());
    }
}
