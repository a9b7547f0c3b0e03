//! Cases as text: what happens, then what each mode shows of it.
//!
//! ```text
//! 0.000 start 1 reading                 0.5 resize 40x10         the terminal is 60x12 otherwise
//! 0.000 vertex 2 KEY [1/2] RUN make     0.6 look                 at the terminal
//! 0.412 out 2 a line\n                  1.2 ran 2
//! 0.412 err 2 \xff\e[31m                1.2 cached 2 definition  or content
//! 0.500 move 1 sha256:abc 100/400       1.2 cancelled 2
//! 0.500 move 1 sha256:def 100/?         1.2 failed 2 why
//! 0.600 note 2 a thing to know          1.2 note - a thing about no step
//! 0.700 warn PAGE a thing that is wrong  PAGE is - if there is none
//! --- plain
//! …
//! ```
//!
//! Times are seconds. `\n`, `\r`, `\t`, `\b`, `\e`, `\\`, `\xNN` and `\u{N}` are escapes. Lines that start with `;`
//! say what the case is about.

use crate::progress::{Mode, ScreenSize};
use crate::solver::event::{EventKind, Hit, Outcome, StepId};
use std::fmt;
use std::time::Duration;

pub(super) struct Case {
    /// The first part of the file, as is.
    source: String,
    pub(super) happenings: Vec<(Duration, What)>,
    pub(super) expected: Vec<(Mode, String)>,
}

pub(super) enum What {
    Event(EventKind),
    Resize(ScreenSize),
    Look,
}

impl Case {
    /// The line that is wrong, if it is no case.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.split("--- ");
        let source = parts.next().unwrap_or_default().to_owned();
        let lines = source.lines().filter(|line| !line.is_empty() && !line.starts_with(';'));
        let happenings =
            lines.map(|line| happening(line).ok_or_else(|| line.to_owned())).collect::<Result<_, String>>()?;
        let section = |part: &str| {
            let (mode, text) = part.split_once('\n').ok_or_else(|| part.to_owned())?;
            Ok((mode.parse().map_err(|_| mode.to_owned())?, text.to_owned()))
        };
        Ok(Self { happenings, expected: parts.map(section).collect::<Result<_, String>>()?, source })
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        self.expected.iter().try_for_each(|(mode, text)| write!(f, "--- {mode}\n{text}"))
    }
}

fn happening(line: &str) -> Option<(Duration, What)> {
    let (at, rest) = line.split_once(' ')?;
    let (verb, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (first, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let step = first.parse().map(StepId);
    let text = || String::from_utf8(unescape(rest)?).ok();
    let finished = |outcome| Some(EventKind::Finished { step: step.clone().ok()?, outcome });
    let kind = match verb {
        "start" => EventKind::Started { step: step.ok()?, name: text()?, key: None, inputs: Vec::new() },
        "vertex" => {
            let (key, name) = rest.split_once(' ')?;
            let name = String::from_utf8(unescape(name)?).ok()?;
            EventKind::Started { step: step.ok()?, name, key: Some(key.to_owned()), inputs: Vec::new() }
        }
        "out" => EventKind::Output { step: step.ok()?, bytes: unescape(rest)? },
        "move" => {
            let (item, bytes) = rest.split_once(' ')?;
            let (done, total) = bytes.split_once('/')?;
            let done = done.parse().ok()?;
            EventKind::Transfer { step: step.ok()?, item: item.to_owned(), done, total: total.parse().ok() }
        }
        "note" => EventKind::Notice { step: step.ok(), text: text()? },
        "warn" => {
            let url = Some(first.to_owned()).filter(|url| url != "-");
            EventKind::Warning { text: text()?, url }
        }
        "ran" => finished(Outcome::Ran)?,
        "cached" => finished(Outcome::Cached(if rest == "content" { Hit::Content } else { Hit::Definition }))?,
        "cancelled" => finished(Outcome::Cancelled)?,
        "failed" => finished(Outcome::Failed(text()?))?,
        "resize" => {
            let (columns, rows) = first.split_once('x')?;
            let size = ScreenSize { columns: columns.parse().ok()?, rows: rows.parse().ok()? };
            return Some((seconds(at)?, What::Resize(size)));
        }
        "look" => return Some((seconds(at)?, What::Look)),
        _ => return None,
    };
    Some((seconds(at)?, What::Event(kind)))
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        bytes.extend(rest[..at].bytes());
        let kind = rest[at + 1..].chars().next()?;
        rest = &rest[at + 2..];
        match kind {
            'n' => bytes.push(b'\n'),
            'r' => bytes.push(b'\r'),
            't' => bytes.push(b'\t'),
            'b' => bytes.push(8),
            'e' => bytes.push(0x1b),
            '\\' => bytes.push(b'\\'),
            'x' => {
                bytes.push(u8::from_str_radix(rest.get(..2)?, 16).ok()?);
                rest = &rest[2..];
            }
            'u' => {
                let (number, after) = rest.strip_prefix('{')?.split_once('}')?;
                let character = char::from_u32(u32::from_str_radix(number, 16).ok()?)?;
                bytes.extend(character.encode_utf8(&mut [0; 4]).bytes());
                rest = after;
            }
            _ => return None,
        }
    }
    bytes.extend(rest.bytes());
    Some(bytes)
}
