//! A terminal, as far as the live view needs one. Anything else that it is sent fails the test.

use crate::progress::ScreenSize;
use crate::progress::ink::width;

/// Lines on an endless screen. Lines, not rows: a line that is too long takes several rows, also after a resize.
pub(super) struct Terminal {
    size: ScreenSize,
    /// What is on the screen was written for another size.
    resized: bool,
    raw: Vec<u8>,
    interpreted: usize,
    lines: Vec<String>,
    row: usize,
    column: usize,
    hidden: bool,
}

impl Default for Terminal {
    fn default() -> Self {
        let size = ScreenSize { columns: 60, rows: 12 };
        Self {
            size,
            resized: false,
            raw: Vec::new(),
            interpreted: 0,
            lines: vec![String::new()],
            row: 0,
            column: 0,
            hidden: false,
        }
    }
}

impl Terminal {
    pub(super) fn write(&mut self, bytes: &[u8]) {
        self.raw.extend(bytes);
    }

    /// What was written, as is.
    pub(super) fn raw(&self) -> String {
        String::from_utf8(self.raw.clone()).unwrap()
    }

    pub(super) fn size(&self) -> ScreenSize {
        self.size
    }

    pub(super) fn resize(&mut self, size: ScreenSize) {
        self.interpret();
        self.size = size;
        self.resized = true;
    }

    pub(super) fn cursor_hidden(&mut self) -> bool {
        self.interpret();
        self.hidden
    }

    /// Everything on the screen and above it.
    pub(super) fn view(&mut self) -> String {
        self.interpret();
        self.lines.iter().map(|line| line.trim_end().to_owned() + "\n").collect::<String>().trim_end().to_owned() + "\n"
    }

    fn interpret(&mut self) {
        let text = self.raw()[self.interpreted..].to_owned();
        self.interpreted = self.raw.len();
        let mut rest = text.as_str();
        while let Some(character) = rest.chars().next() {
            rest = &rest[character.len_utf8()..];
            match character {
                '\r' => self.column = 0,
                '\n' => {
                    self.row += 1;
                    if self.row == self.lines.len() {
                        self.lines.push(String::new());
                    }
                }
                '\u{1b}' => rest = self.escape(rest),
                _ => {
                    assert!(!character.is_control(), "{character:?} reached the terminal");
                    let line = &mut self.lines[self.row];
                    let mut characters: Vec<char> = line.chars().collect();
                    characters.resize(characters.len().max(self.column + 1), ' ');
                    characters[self.column] = character;
                    *line = characters.into_iter().collect();
                    self.column += 1;
                }
            }
        }
    }

    /// Obeys the control sequence that starts here and returns what follows it.
    fn escape<'a>(&mut self, text: &'a str) -> &'a str {
        let end = text.find(|c: char| c.is_ascii_alphabetic()).unwrap();
        let (sequence, rest) = text.split_at(end + 1);
        match sequence {
            "[?25l" => self.hidden = true,
            "[?25h" => self.hidden = false,
            "[K" => {
                let line = &mut self.lines[self.row];
                *line = line.chars().take(self.column).collect();
            }
            "[J" => {
                assert_eq!(self.column, 0);
                self.lines.truncate(self.row);
                self.lines.push(String::new());
            }
            _ => {
                let up = sequence.strip_prefix('[').and_then(|rest| rest.strip_suffix('A'));
                self.up(up.unwrap_or_else(|| panic!("unknown sequence {sequence:?}")).parse().unwrap());
            }
        }
        rest
    }

    /// Up that many rows, which has to be the start of a line, and on the screen.
    fn up(&mut self, mut rows: usize) {
        assert!(std::mem::take(&mut self.resized) || rows < self.size.rows, "{rows} rows up");
        while rows > 0 {
            self.row -= 1;
            let taken = width(&self.lines[self.row]).div_ceil(self.size.columns).max(1);
            rows = rows.checked_sub(taken).expect("the cursor went into the middle of a line");
        }
    }
}
