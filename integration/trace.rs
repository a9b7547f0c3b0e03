//! `--trace`: what took how long.

use crate::harness::{BUSYBOX, Workspace, native_platform};
use serde_json::Value;

#[test]
fn a_trace_has_every_step_with_its_times() {
    let dockerfile = format!("{BUSYBOX}RUN sleep 0.3\nRUN echo done\n");
    let Some(work) = Workspace::with_busybox(&[native_platform()], &dockerfile) else { return };
    let trace = work.path("trace.json");
    work.build(&["-t", "traced", "--trace", &trace.display().to_string()]).succeeds();

    let events: Vec<Value> = serde_json::from_str(&work.read("trace.json")).unwrap();
    let step = |title: &str| {
        let is_it =
            |event: &&Value| event["cat"] == "step" && event["name"].as_str().is_some_and(|name| name.ends_with(title));
        let found = events.iter().find(is_it);
        found.unwrap_or_else(|| panic!("no {title} in {events:#?}"))
    };
    let (first, second) = (step("RUN sleep 0.3"), step("RUN echo done"));
    for event in [first, second] {
        assert_eq!((&event["ph"], &event["args"]["outcome"]), (&"X".into(), &"ran".into()), "{event}");
    }
    let category = |name: &str| events.iter().filter(|event| event["cat"] == name).count();
    // One layer is not empty; the keys of all vertices are made at once, and what each of the three depends on one by one.
    assert_eq!((category("compression"), category("solver")), (1, 4), "{events:#?}");
    let micros = |event: &Value, field: &str| event[field].as_u64().unwrap();
    assert!(micros(first, "dur") >= 300_000, "{first}");
    assert!(micros(second, "ts") >= micros(first, "ts") + micros(first, "dur"), "{first} {second}");
}
