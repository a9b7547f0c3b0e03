use super::*;
use crate::solver::recipe::{FileKind, InputFact, ShortDigest};

fn file(path: &str, content: &str) -> FileFact {
    let (kind, content) = (FileKind::File, ShortDigest::of(content.as_bytes()));
    FileFact { path: path.to_owned(), kind, mode: 0o644, owner: (0, 0), content }
}

fn recipe() -> Recipe {
    let input = |name: &str| InputFact { name: name.to_owned(), key: ShortDigest::of(name.as_bytes()) };
    Recipe {
        schema: "1".to_owned(),
        base: Some(("debian:12".to_owned(), "sha256:0123456789abcdef".to_owned())),
        parameters: vec![Parameter::new("command", "make"), Parameter::hidden("TOKEN", "one")],
        files: vec![file("a", "a"), file("b", "b"), file("c", "c")],
        inputs: vec![input("FROM debian:12"), input("COPY . .")],
    }
}

#[track_caller]
fn check(change: impl FnOnce(&mut Recipe), expected: &[&str]) {
    let mut after = recipe();
    change(&mut after);
    let why = Why::between(&recipe(), &after);
    let told: Vec<String> = why.reasons.iter().map(ToString::to_string).collect();
    assert_eq!(told, expected);
    let json = serde_json::to_string(&why).unwrap();
    assert_eq!(serde_json::from_str::<Why>(&json).unwrap(), why, "{json}");
}

#[test]
fn parameters() {
    check(
        |after| after.parameters[0] = Parameter::new("command", "make all"),
        &["command is now \"make all\" (was \"make\")"],
    );
    check(|after| after.parameters[1] = Parameter::hidden("TOKEN", "two"), &["TOKEN changed (not shown)"]);
    check(|after| after.parameters.push(Parameter::new("DEBUG", "1")), &["DEBUG is new: \"1\""]);
    check(|after| after.parameters.truncate(1), &["TOKEN is gone (was (not shown))"]);
    let long = "x".repeat(1000);
    let mut before = recipe();
    before.parameters[0] = Parameter::new("command", &long);
    let mut after = before.clone();
    after.parameters[0] = Parameter::new("command", long + "y");
    assert_eq!(Why::between(&before, &after).reasons.len(), 1, "also behind what is shown");
}

#[test]
fn files() {
    check(|after| after.files[0] = file("a", "other"), &["a changed"]);
    check(|after| after.files.push(file("d", "d")), &["d is new"]);
    check(|after| drop(after.files.remove(1)), &["b is gone"]);
    check(|after| after.files[2] = file("z", "c"), &["z was called c"]);
    check(|after| after.files[0].mode = 0o755, &["a has mode 0755 (was 0644)"]);
    check(|after| after.files[0].owner = (1, 2), &["a belongs to 1:2 (was 0:0)"]);
    check(|after| after.files[0].kind = FileKind::Link, &["a is of another kind"]);
    let many = |after: &mut Recipe| {
        after.files.extend((0..60).map(|number| file(&format!("new/{number}"), &number.to_string())));
    };
    let mut after = recipe();
    many(&mut after);
    let why = Why::between(&recipe(), &after);
    assert_eq!(why.reasons.last(), Some(&Reason::MoreFiles { count: 10 }));
    assert_eq!(why.to_string(), "new/0 is new, and 59 more differences");
}

#[test]
fn steps_and_bases() {
    check(
        |after| after.base.as_mut().unwrap().1 = "sha256:fedcba9876543210".to_owned(),
        &["debian:12 is now sha256:fedcba987654 (was sha256:0123456789ab)"],
    );
    check(
        |after| after.base.as_mut().unwrap().0 = "alpine".to_owned(),
        &["FROM is now \"alpine\" (was \"debian:12\")"],
    );
    check(|after| after.inputs[1].key = ShortDigest::of(b""), &["COPY . . came out differently"]);
    check(|after| after.inputs[1].name = "COPY x .".to_owned(), &["it comes after COPY x . now (was COPY . .)"]);
    check(|after| after.inputs.truncate(1), &["it no longer takes from COPY . ."]);
    check(|after| after.schema = "2".to_owned(), &["its record is of another version of flashbuild"]);
    check(|_| {}, &["something changed that is not kept"]);
}
