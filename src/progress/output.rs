//! Results: what a command answers, as opposed to how it is getting on.

use serde::Serialize;
use std::io::{self, BufWriter, Write};

/// Where a command's answer goes: standard output, but for tests. All of it goes through here.
///
/// A reader that has seen enough, such as `head`, is no error: once the pipe is closed, everything written succeeds
/// and goes nowhere. Text from strangers has to be [`printable`](super::printable); a [`Table`](super::Table) sees to it.
///
/// Buffered: [`finish`](Self::finish) tells whether all of it arrived.
pub struct Output {
    out: BufWriter<Box<dyn Write + Send>>,
    closed: bool,
}

impl Output {
    /// Standard output.
    pub fn stdout() -> Self {
        Self::to(io::stdout())
    }

    /// Standard error, for what has to be said after progress: a diagnostic, a hint.
    pub fn stderr() -> Self {
        Self::to(io::stderr())
    }

    /// Any writer.
    pub fn to(out: impl Write + Send + 'static) -> Self {
        Self { out: BufWriter::new(Box::new(out)), closed: false }
    }

    /// Writes a line.
    pub fn line(&mut self, text: impl std::fmt::Display) -> io::Result<()> {
        writeln!(self, "{text}")
    }

    /// Writes a value as indented JSON.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *self, value)?;
        self.write_all(b"\n")
    }

    /// Whether the reader has left. A command with a long answer may stop.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Writes what is buffered.
    pub fn finish(mut self) -> io::Result<()> {
        self.flush()
    }

    /// Turns the reader's leaving into success, which counts as `otherwise`.
    fn forgive<T>(&mut self, result: io::Result<T>, otherwise: T) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.closed = true;
                Ok(otherwise)
            }
            other => other,
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.closed {
            return Ok(bytes.len());
        }
        let result = self.out.write(bytes);
        self.forgive(result, bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Ok(());
        }
        let result = self.out.flush();
        self.forgive(result, ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A pipe that breaks with `kind`.
    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        let mut output = Output::to(Broken(io::ErrorKind::BrokenPipe));
        for _ in 0..10_000 {
            output.line("many lines").unwrap();
        }
        assert!(output.is_closed());
        output.json(&["more"]).unwrap();
        output.finish().unwrap();
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut output = Output::to(Broken(io::ErrorKind::StorageFull));
        output.line("short").unwrap();
        assert_eq!(output.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
