//! What the two sides of a sandbox say to each other: lines of JSON on one socket.
//!
//! The caller sends a byte, which may carry a descriptor (`descriptor.rs`), says a [`Spec`](super::Spec), and then any
//! number of [`Order`]s; that it closes its end means that it is gone.
//! The helper says at most one [`Message::Started`], then at most one reason why there is no program running, a
//! [`Message::BesideEnded`] for each program that ran beside it and ended before it, and last [`Message::Exited`] for
//! whatever ran as process 1. Of an observed sandbox there is a [`Message::Asked`] for each path in between.

use super::failure::Failure;
use super::spec::{Program, Status, Usage};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;

/// What the caller says while the sandbox runs.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// Send a signal to process 1, by its number.
    Signal(i32),
    /// Run a program beside it. One that still runs beside it is killed first.
    RunBeside(Program),
}

/// What the helper says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// Everything is set up, and the program is about to be executed.
    Started {
        /// See [`Exit::stubs`](super::Exit::stubs).
        stubs: Vec<PathBuf>,
    },
    /// Something could not be set up.
    Failed(Failure),
    /// The program could not be executed.
    NotExecuted {
        /// What a shell would say.
        message: String,
        /// What a shell would exit with.
        code: i32,
    },
    /// A process of an observed sandbox asks for a path: told once of each, before it has its answer.
    Asked {
        /// From the root of the tree; links on it are not followed.
        path: Vec<u8>,
    },
    /// A program that ran beside it ended: in the order of the orders.
    BesideEnded {
        /// How.
        status: Status,
    },
    /// Process 1 ended, and every other process of the sandbox with it.
    Exited {
        /// How.
        status: Status,
        /// What it used.
        usage: Usage,
    },
}

/// One line.
pub(super) fn encode(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// Says something.
pub(super) fn write(mut to: impl Write, value: &impl Serialize) -> io::Result<()> {
    to.write_all(&encode(value)?)
}

/// Hears one thing from a side that says no second one before it is answered.
pub(super) fn read_one<T: DeserializeOwned>(from: impl Read) -> io::Result<T> {
    read_next(&mut BufReader::new(from))?.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Hears the next thing; `None` if the other side is gone.
pub(super) fn read_next<T: DeserializeOwned>(from: &mut impl BufRead) -> io::Result<Option<T>> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    if line.is_empty() { Ok(None) } else { Ok(Some(serde_json::from_slice(&line)?)) }
}
