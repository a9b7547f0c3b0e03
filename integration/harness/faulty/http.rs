//! Just enough HTTP/1.1 over a socket that everything is under the test's control, down to the byte that is not sent.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// A request, its body still on the wire.
pub(in crate::harness) struct Request {
    pub(in crate::harness) method: String,
    /// Path without the query.
    pub(in crate::harness) path: String,
    pub(in crate::harness) query: BTreeMap<String, String>,
    headers: BTreeMap<String, String>,
}

impl Request {
    pub(in crate::harness) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(in crate::harness) fn length(&self) -> usize {
        self.header("content-length").parse().unwrap_or(0)
    }
}

/// What is answered.
pub(in crate::harness) struct Reply {
    pub(in crate::harness) status: u16,
    pub(in crate::harness) headers: Vec<(&'static str, String)>,
    pub(in crate::harness) body: Vec<u8>,
}

impl Reply {
    pub(in crate::harness) fn new(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    pub(in crate::harness) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(in crate::harness) fn body(self, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// An error with one of the specification's codes.
    pub(in crate::harness) fn error(status: u16, code: &str) -> Self {
        Self::new(status).body(format!(r#"{{"errors":[{{"code":"{code}","message":"on purpose"}}]}}"#))
    }
}

/// One connection.
pub(in crate::harness) struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub(in crate::harness) fn new(stream: TcpStream) -> Self {
        Self { stream: BufReader::new(stream) }
    }

    /// The next request; nothing if there is none.
    pub(in crate::harness) fn request(&mut self) -> Option<Request> {
        let mut line = String::new();
        self.stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let mut parts = line.split(' ');
        let (method, target) = (parts.next()?.to_owned(), parts.next()?.to_owned());
        let mut headers = BTreeMap::new();
        loop {
            let mut header = String::new();
            self.stream.read_line(&mut header).ok()?;
            let Some((name, value)) = header.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let query = pairs.map(|(name, value)| (name.to_owned(), value.replace("%3A", ":").replace("%2F", "/")));
        Some(Request { method, path: path.to_owned(), query: query.collect(), headers })
    }

    /// Reads `length` bytes of a body, slowly if asked.
    pub(in crate::harness) fn read(&mut self, length: usize, drips: bool) -> io::Result<Vec<u8>> {
        let mut body = vec![0; length];
        if !drips {
            self.stream.read_exact(&mut body)?;
            return Ok(body);
        }
        for part in body.chunks_mut(length / 8 + 1) {
            self.stream.read_exact(part)?;
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(body)
    }

    /// Answers. `sent` bytes of the body are sent, all if it is `None`; without all of them the connection is of no
    /// more use.
    pub(in crate::harness) fn reply(&mut self, reply: &Reply, is_head: bool, sent: Option<usize>) -> io::Result<()> {
        let mut text = format!("HTTP/1.1 {} X\r\nContent-Length: {}\r\n", reply.status, reply.body.len());
        for (name, value) in &reply.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        let body = if is_head { &[] } else { &reply.body[..sent.unwrap_or(reply.body.len())] };
        let stream = self.stream.get_mut();
        stream.write_all(text.as_bytes())?;
        stream.write_all(body)?;
        stream.flush()
    }
}
