//! What a view writes to, and what that can do.

use super::clean;
use super::ink::Line;
use super::workflow;
use rustix::termios::tcgetwinsize;
use std::io::{self, BufWriter, IsTerminal, Write};

/// Where progress goes: a writer, and how it may be treated.
pub struct Screen {
    /// Views flush it when they have said what there is to say.
    pub(super) out: BufWriter<Box<dyn Write + Send>>,
    pub(super) size: Box<dyn Fn() -> ScreenSize + Send>,
    /// A person watches, and lines may be rewritten.
    pub(super) live: bool,
    /// Colours are wanted.
    pub(super) colour: bool,
    /// Whether a log's reader folds blocks of lines, and whether one is open.
    groups: Option<bool>,
}

/// Size of a terminal in character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ScreenSize {
    /// Cells in a row.
    pub columns: usize,
    /// Rows.
    pub rows: usize,
}

impl ScreenSize {
    /// What terminals have been since the VT100; taken when a terminal does not say.
    const USUAL: Self = Self { columns: 80, rows: 24 };
}

impl Screen {
    /// Standard error: as good as the terminal is, if it is one.
    ///
    /// - Live if it is a terminal, `TERM` is not `dumb`, and `CI` is unset, empty, `0` or `false`.
    /// - In colour if it is a terminal whose `TERM` is not `dumb`; never with `NO_COLOR` (<https://no-color.org>);
    ///   always with `CLICOLOR_FORCE` (<https://bixense.com/clicolors/>).
    pub fn stderr() -> Self {
        let (live, colour) =
            abilities(io::stderr().is_terminal(), |name| std::env::var_os(name)?.to_string_lossy().into_owned().into());
        let groups = workflow::is_read().then_some(false);
        Self { live, colour, groups, ..Self::terminal(io::stderr(), stderr_size) }
    }

    /// A writer that is no terminal: a file, a buffer.
    pub fn file(out: impl Write + Send + 'static) -> Self {
        Self { live: false, ..Self::terminal(out, || ScreenSize::USUAL) }
    }

    /// A terminal without colours whose size somebody else knows.
    pub fn terminal(out: impl Write + Send + 'static, size: impl Fn() -> ScreenSize + Send + 'static) -> Self {
        Self { out: BufWriter::new(Box::new(out)), size: Box::new(size), live: true, colour: false, groups: None }
    }

    /// A log whose blocks of lines a CI service folds.
    #[cfg(test)]
    pub(super) fn grouped(out: impl Write + Send + 'static) -> Self {
        Self { groups: Some(false), ..Self::file(out) }
    }

    /// Writes the heading of a block of lines.
    pub(super) fn heading(&mut self, line: &Line) -> io::Result<()> {
        if self.groups.is_none() {
            return self.log(line);
        }
        self.end_group()?;
        self.groups = Some(true);
        writeln!(self.out, "{}", workflow::command("group", &[], &line.paint(false)))
    }

    /// The block of lines, if one is open, ends here.
    pub(super) fn end_group(&mut self) -> io::Result<()> {
        if self.groups != Some(true) {
            return Ok(());
        }
        self.groups = Some(false);
        writeln!(self.out, "{}", workflow::command("endgroup", &[], ""))
    }

    /// Writes a line of a log, which a CI service may read too.
    pub(super) fn log(&mut self, line: &Line) -> io::Result<()> {
        writeln!(self.out, "{}", clean::inert(&line.paint(self.colour)))
    }
}

/// Whether a standard error is live, and whether it is in colour.
fn abilities(terminal: bool, variable: impl Fn(&str) -> Option<String>) -> (bool, bool) {
    let set = |name| variable(name).is_some_and(|value| !value.is_empty());
    let on = |name| variable(name).is_some_and(|value| !matches!(value.as_str(), "" | "0" | "false"));
    let capable = terminal && variable("TERM").is_none_or(|term| term != "dumb");
    let colour = !set("NO_COLOR") && (capable || on("CLICOLOR_FORCE"));
    (capable && !on("CI"), colour)
}

fn stderr_size() -> ScreenSize {
    match tcgetwinsize(io::stderr()) {
        // Serial consoles and some multiplexers answer 0 x 0.
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            ScreenSize { columns: size.ws_col.into(), rows: size.ws_row.into() }
        }
        Ok(_) | Err(_) => ScreenSize::USUAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_surroundings_decide() {
        for (terminal, variables, live, colour) in [
            (true, &[][..], true, true),
            (false, &[], false, false),
            (true, &[("TERM", "dumb")], false, false),
            (true, &[("CI", "true")], false, true),
            (true, &[("CI", "false")], true, true),
            (true, &[("NO_COLOR", "1")], true, false),
            (true, &[("NO_COLOR", "")], true, true),
            (false, &[("CLICOLOR_FORCE", "1")], false, true),
            (false, &[("CLICOLOR_FORCE", "0")], false, false),
            (true, &[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true, false),
        ] {
            let variable = |name: &str| Some(variables.iter().find(|(key, _)| *key == name)?.1.to_owned());
            assert_eq!(abilities(terminal, variable), (live, colour), "{terminal} {variables:?}");
        }
    }
}
