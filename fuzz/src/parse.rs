//! Reading, linting and lowering.

use flashbuild_frontend::{
    diagnostic::{Diagnostic, render_all},
    dockerfile::{
        Dockerfile, Inputs, Options,
        call::{check, targets::Targets},
        lint::Extent,
    },
};

/// Any text is read to its end, and every place that is pointed at lies in it.
pub fn endure(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (file, mut errors) = Dockerfile::read(text);
    let options = Options { whole_file: true, ..Options::for_platform("linux/amd64".parse().expect("a platform")) };
    let inputs = Inputs::default();
    let extent = if errors.is_empty() { Extent::Build(&inputs) } else { Extent::Lines };
    let linted = file.lint(&options, extent);
    let shown = check::text(&linted.warnings, "Dockerfile", text);
    assert_eq!(shown.is_empty(), linted.warnings.is_empty());
    if errors.is_empty() {
        let _ = Targets::of(&file).text();
        errors.extend(file.missing(&options, &inputs).err().unwrap_or_default());
        errors.extend(file.lower(&options, &inputs).err().unwrap_or_default());
    }
    errors.extend(linted.errors);
    errors = file.survey(&options, &inputs, errors);
    for Diagnostic { span, message, .. } in &errors {
        assert!(text.get(span.start..span.end).is_some(), "{message}: {span:?} cuts {text:?}");
    }
    let _ = render_all(&errors, "Dockerfile", text, false);
}
