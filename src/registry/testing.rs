//! A registry for tests that does as it is told: a list of requests and of what to answer.
//!
//! It speaks just enough HTTP/1.1. A request is matched by its method and its address with the query. The answers to
//! one request are given in their order; the last one stays. In headers and bodies, `HERE` is the registry's address.

use super::{Client, Options, PlaceFiles, RetryPolicy};
use crate::image::{Descriptor, Digest, MediaType};
use flashbuild_frontend::reference::Reference;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::{TcpListener, TcpStream};

/// An answer.
#[derive(Clone, Default)]
pub(super) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    /// Close the connection after so many bytes of the body.
    cut: Option<usize>,
    /// Do not say how long the body is.
    unmeasured: bool,
    /// What requests get that do not carry this `Authorization`.
    otherwise: Option<(&'static str, Box<Reply>)>,
}

impl Reply {
    pub(super) fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(super) fn ok(body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, body: body.into(), ..Self::default() }
    }

    pub(super) fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(super) fn cut_after(self, bytes: usize) -> Self {
        Self { cut: Some(bytes), ..self }
    }

    pub(super) fn only_for(self, authorization: &'static str, otherwise: Self) -> Self {
        Self { otherwise: Some((authorization, Box::new(otherwise))), ..self }
    }

    pub(super) fn unmeasured(self) -> Self {
        Self { unmeasured: true, ..self }
    }
}

/// A request that came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// `GET /v2/x/manifests/1`.
    pub(super) line: String,
    /// Names in lower case.
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Vec<u8>,
}

impl Seen {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// The registry. It ends with the test's runtime.
pub(super) struct FakeRegistry {
    /// `127.0.0.1:port`.
    pub(super) host: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

type Script = Arc<Mutex<Vec<(String, Reply)>>>;

impl FakeRegistry {
    /// Answers requests, `("GET /v2/…", reply)`, and everything else with 404.
    pub(super) async fn start<L: Into<String>>(script: impl IntoIterator<Item = (L, Reply)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let script: Script =
            Arc::new(Mutex::new(script.into_iter().map(|(line, reply)| (line.into(), reply)).collect()));
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (log, here) = (seen.clone(), host.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, log, here) = (script.clone(), log.clone(), here.clone());
                tokio::spawn(async move {
                    let mut stream = BufStream::new(stream);
                    while let Some(request) = read_request(&mut stream).await {
                        let reply = next_reply(&script, &request);
                        let is_head = request.line.starts_with("HEAD ");
                        log.lock().unwrap().push(request);
                        if !write_reply(&mut stream, &reply, is_head, &here).await {
                            break;
                        }
                    }
                });
            }
        });
        Self { host, seen }
    }

    /// A reference to an image of this registry.
    pub(super) fn reference(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.host).parse().unwrap()
    }

    /// The requests so far.
    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Methods and addresses of the requests so far.
    pub(super) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }
}

/// A client that reads credentials from `files` alone and does not wait long.
pub(super) fn client(files: Vec<PathBuf>) -> Client {
    Client::new(options(files)).unwrap()
}

/// The options of [`client`].
pub(super) fn options(credential_files: Vec<PathBuf>) -> Options {
    let retry = RetryPolicy {
        attempts: 4,
        first: Duration::from_millis(1),
        longest: Duration::from_millis(5),
        patience: Duration::from_secs(5),
    };
    Options { credential_files, retry, places: PlaceFiles::default(), ..Options::default() }
}

/// Options with which silence is soon too long, and nothing is tried again.
pub(super) fn impatient() -> Options {
    let options = options(Vec::new());
    Options { idle_timeout: Duration::from_millis(50), retry: RetryPolicy { attempts: 1, ..options.retry }, ..options }
}

/// The address of somebody who takes connections, and neither reads nor answers.
pub(super) async fn silent_peer() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
        }
    });
    host
}

/// A layer and its descriptor.
pub(super) fn layer(text: &str) -> (Descriptor, Vec<u8>) {
    (Descriptor::of(MediaType::ImageLayer, text.as_bytes()), text.as_bytes().to_vec())
}

/// The digest of `bytes`, as it is written.
pub(super) fn digest(bytes: impl AsRef<[u8]>) -> String {
    Digest::of(bytes.as_ref()).to_string()
}

fn next_reply(script: &Script, request: &Seen) -> Reply {
    let reply = take_reply(script, &request.line);
    match reply.otherwise {
        Some((authorization, otherwise)) if request.header("authorization") != authorization => *otherwise,
        Some(_) | None => reply,
    }
}

fn take_reply(script: &Script, line: &str) -> Reply {
    let mut script = script.lock().unwrap();
    let mut matching = script.iter().enumerate().filter(|(_, (expected, _))| expected == line).map(|(at, _)| at);
    let first = matching.next();
    let another = matching.next().is_some();
    match first {
        Some(first) if another => script.remove(first).1,
        Some(first) => script[first].1.clone(),
        None => Reply::new(404),
    }
}

async fn read_request(stream: &mut BufStream<TcpStream>) -> Option<Seen> {
    let mut text = String::new();
    while !text.ends_with("\r\n\r\n") {
        if stream.read_line(&mut text).await.ok()? == 0 {
            return None;
        }
    }
    let mut lines = text.lines();
    let line = lines.next()?.trim_end_matches(" HTTP/1.1").to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Seen { line, headers, body })
}

/// Whether the connection stays open.
async fn write_reply(stream: &mut BufStream<TcpStream>, reply: &Reply, is_head: bool, here: &str) -> bool {
    let mut head = format!("HTTP/1.1 {} X\r\n", reply.status);
    for (name, value) in &reply.headers {
        head.extend([name, ": ", &value.replace("HERE", here), "\r\n"]);
    }
    if reply.unmeasured {
        head += "Connection: close\r\n";
    } else if !reply.headers.iter().any(|(name, _)| *name == "Content-Length") {
        head.extend(["Content-Length: ", &reply.body.len().to_string(), "\r\n"]);
    }
    head += "\r\n";
    let end = reply.cut.unwrap_or(reply.body.len());
    let body = if is_head { &[] } else { &reply.body[..end] };
    let written = stream.write_all(head.as_bytes()).await.and(stream.write_all(body).await).and(stream.flush().await);
    written.is_ok() && reply.cut.is_none() && !reply.unmeasured
}
