//! The terminal, which is put back as it was when looking ends: by a key, an error, a signal, or a panic.

use ratatui::DefaultTerminal;
use std::io;

/// Does `look` with all of the terminal, whose keys are not shown and end nothing meanwhile. A panic is told when the terminal
/// is as before.
pub(super) fn with_terminal<T>(look: impl FnOnce(&mut DefaultTerminal) -> io::Result<T>) -> io::Result<T> {
    // From before the beginning, of which a half may fail.
    let _put_back = PutBack;
    let mut terminal = ratatui::try_init()?;
    look(&mut terminal)
}

struct PutBack;

impl Drop for PutBack {
    fn drop(&mut self) {
        // Who has no terminal any more needs nothing put back.
        let _ = ratatui::try_restore();
    }
}

#[cfg(test)]
mod tests {
    use super::with_terminal;
    use std::{env, process::Command};

    const AT_TERMINAL: &str = "FLASHBUILD_TEST_AT_TERMINAL";

    /// Runs itself at a terminal of its own, where it panics.
    #[test]
    #[expect(clippy::print_stderr, reason = "a test that was not run is to be seen")]
    fn a_panic_puts_the_terminal_back_before_it_is_told() {
        if env::var_os(AT_TERMINAL).is_some() {
            let _: Result<(), _> = with_terminal(|terminal| {
                terminal.draw(|frame| frame.render_widget("looked", frame.area()))?;
                panic!("this is on purpose");
            });
        }
        let own = env::current_exe().unwrap();
        let name = format!("{}::a_panic_puts_the_terminal_back_before_it_is_told", module_path!());
        let (_, name) = name.split_once("::").unwrap();
        let command = format!(
            "stty cols 80 rows 24; stty -g; {AT_TERMINAL}=1 {} --exact {name} --nocapture; stty -g",
            own.display()
        );
        let output = match Command::new("script").args(["-qec", &command, "/dev/null"]).output() {
            Ok(output) => output,
            Err(error) => return eprintln!("skipped: script: {error}"),
        };
        let seen = String::from_utf8_lossy(&output.stdout).into_owned();
        let lines: Vec<&str> = seen.lines().map(str::trim).collect();
        assert_eq!(lines.first(), lines.last(), "the settings of the terminal: {seen}");
        let at = |text: &str| seen.find(text).unwrap_or_else(|| panic!("no {text:?}: {seen:?}"));
        assert!(at("\u{1b}[?1049h") < at("looked"), "{seen:?}");
        assert!(at("looked") < at("\u{1b}[?1049l"), "{seen:?}");
        assert!(at("\u{1b}[?1049l") < at("this is on purpose"), "{seen:?}");
        assert!(at("\u{1b}[?25l") < at("\u{1b}[?25h"), "the cursor: {seen:?}");
    }
}
