//! Expansion in all its modes.

use super::{ExpandError, Expander, Names};
use std::collections::BTreeSet;

fn lookup(name: &str) -> Option<String> {
    let value = match name {
        "FILE" => "/src/lib.tar.gz",
        "EMPTY" => "",
        "TWO" => "one two",
        "GLOB" => "l?b",
        _ => return None,
    };
    Some(value.to_owned())
}

#[test]
fn modifiers() {
    let cases = [
        ("${FILE#*/}", "src/lib.tar.gz"),
        ("${FILE##*/}", "lib.tar.gz"),
        ("${FILE%.*}", "/src/lib.tar"),
        ("${FILE%%.*}", "/src/lib"),
        ("${FILE#/src/$GLOB}", ".tar.gz"),
        ("${FILE/\\//:}", ":src/lib.tar.gz"),
        ("${FILE//\\//:}", ":src:lib.tar.gz"),
        ("${FILE//./${EMPTY:-\"_\"}}", "/src/lib_tar_gz"),
        ("${UNSET#x}${UNSET/x/y}", ""),
        ("${UNSET:-a ${TWO} 'b  c'}", "a one two b  c"),
        ("${FILE:+\"$TWO\"}", "one two"),
        ("${EMPTY-x}${EMPTY:-y}", "y"),
        ("${FILE:-${UNSET:?never asked}}", "/src/lib.tar.gz"),
    ];
    let expander = Expander::new('\\', &lookup);
    for (word, expected) in cases {
        assert_eq!(expander.expand(word).as_deref(), Ok(expected), "{word}");
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let cases = [
        ("${UNSET:?set it, please}", "UNSET: set it, please"),
        ("${UNSET?}", "UNSET: must be set"),
        ("${EMPTY:?}", "EMPTY: must not be empty"),
        ("${FILE", "`}` is missing"),
        ("'a", "`'` is missing"),
        ("${}", "`${` must be followed by a name, not by `}`"),
        ("${FILE=x}", "`=` is no modifier of a variable"),
        ("${FILE:#x}", "`:#` is no modifier of a variable"),
        ("${FILE/x}", "`/` is missing"),
        ("${FILE#\\a}", "`\\a` has no meaning in the pattern `\\a`"),
    ];
    let expander = Expander::new('\\', &lookup);
    for (word, expected) in cases {
        assert_eq!(expander.expand(word).unwrap_err().to_string(), expected, "{word}");
    }
    assert_eq!(expander.expand(&"${A:-".repeat(100)), Err(ExpandError::TooDeep));
}

#[test]
fn the_escape_character_is_a_parameter() {
    let expander = Expander::new('`', &lookup);
    assert_eq!(expander.expand("C:\\$TWO\\`$TWO").as_deref(), Ok("C:\\one two\\$TWO"));
    assert_eq!(expander.expand("\"`\"\\\"").as_deref(), Ok("\"\\"));
}

#[test]
fn heredoc_bodies_keep_their_quotes() {
    let expander = Expander::heredoc(&lookup);
    let body = "it's \"$TWO\" '$TWO' \\$TWO\n";
    assert_eq!(expander.expand(body).as_deref(), Ok("it's \"one two\" 'one two' $TWO\n"));
}

#[test]
fn words_for_people_keep_quotes_and_what_is_unset() {
    let expander = Expander::display('\\', &lookup);
    let word = "'a b' \"$TWO\" $UNSET ${UNSET} ${UNSET:-$TWO} ${UNSET%x} ${UNSET//a/b}";
    let expected = "'a b' \"one two\" $UNSET ${UNSET} ${UNSET:-one two} ${UNSET%x} ${UNSET//a/b}";
    assert_eq!(expander.expand(word).as_deref(), Ok(expected));
}

#[test]
fn variables_separate_words_unless_quoted() {
    let expander = Expander::new('\\', &lookup);
    let words = expander.expand_words("a$TWO \"$TWO\" ${UNSET:-x y} '' b\\ c").unwrap();
    assert_eq!(words, ["aone", "two", "one two", "x", "y", "b c"]);
}

#[test]
fn names_are_found_wherever_they_are() {
    let expander = Expander::new('\\', &lookup);
    let names = expander.names("$FILE '$NOT' \"${EMPTY}\" ${FILE:-$LOST} ${TWO/$GLOB/${GONE}}").unwrap();
    let set = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<BTreeSet<_>>();
    let expected = Names { set: set(&["FILE", "EMPTY", "TWO", "GLOB"]), unset: set(&["LOST", "GONE"]) };
    assert_eq!(names, expected);
}
