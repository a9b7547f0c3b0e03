//! A registry that fails on purpose: a small one that keeps to the distribution specification, checks everything, and
//! rolls dice before every answer.
//!
//! It takes only blobs that have their digest and only documents whose parts it has, so whatever a push does wrong it
//! refuses. What goes wrong by itself is a [`Fault`]; the dice are seeded, so a run can be repeated. It listens at two
//! addresses: the second one stands for another host, to which nobody may send credentials.
//!
//! `/when-blobs-are/N` answers as soon as it has N blobs: a step that asks for it ends only if they come while it runs.

pub(super) mod http;

use flashbuild::image::Digest;
use http::{Connection, Reply, Request};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long somebody who waits for blobs is patient.
const PATIENCE: Duration = Duration::from_secs(30);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// 429, `Retry-After` in seconds.
    BusyForSeconds,
    /// 429, `Retry-After` as a date.
    BusyUntil,
    /// 503.
    OutOfOrder,
    /// The connection ends somewhere in the request's body; what came is kept.
    CutUpload,
    /// The connection ends somewhere in the answer's body.
    CutAnswer,
    /// All is done, and nobody is told.
    NoAnswer,
    /// The upload is forgotten.
    LostUpload,
    /// The last bytes of the upload are forgotten: 416.
    LostTail,
    /// A byte is not what it was.
    Damage,
    /// The token is no longer good.
    ExpiredToken,
    /// 307 to the other host.
    Redirect,
    /// It reads slowly.
    Drip,
}

const FAULTS: [Fault; 12] = [
    Fault::BusyForSeconds,
    Fault::BusyUntil,
    Fault::OutOfOrder,
    Fault::CutUpload,
    Fault::CutAnswer,
    Fault::NoAnswer,
    Fault::LostUpload,
    Fault::LostTail,
    Fault::Damage,
    Fault::ExpiredToken,
    Fault::Redirect,
    Fault::Drip,
];

/// The registry; its threads end with the process.
pub(crate) struct FaultyRegistry {
    /// `127.0.0.1:port`.
    pub(crate) host: String,
    state: Arc<Mutex<State>>,
}

/// What it has, and what it has seen.
struct State {
    hosts: [String; 2],
    dice: fastrand::Rng,
    /// Chance of a fault, for every request.
    chance: f64,
    token: u64,
    /// Requests that the token was good for. No token ends before it was of some use.
    token_uses: u64,
    next_upload: u64,
    uploads: BTreeMap<u64, Vec<u8>>,
    blobs: BTreeSet<(String, String)>,
    bytes: BTreeMap<String, Vec<u8>>,
    documents: BTreeMap<(String, String), (String, Vec<u8>)>,
    /// A tag that leads to what another one does, once it was asked for.
    moving: Option<(String, String, String)>,
    seen: Seen,
}

/// What a registry has seen.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// How often each fault was met.
    pub(crate) faults: BTreeMap<Fault, usize>,
    /// Bytes of blobs that arrived, whatever became of them.
    pub(crate) blob_bytes: u64,
    /// Requests, by method.
    pub(crate) requests: BTreeMap<String, usize>,
    /// Requests that were let in, in their order: method and path.
    pub(crate) lines: Vec<String>,
    /// What a client must never do.
    pub(crate) violations: Vec<String>,
}

impl FaultyRegistry {
    /// A registry that fails with this chance, in an order that follows from `seed`.
    pub(crate) fn start(seed: u64, chance: f64) -> Self {
        let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
        let hosts = listeners.each_ref().map(|listener| listener.local_addr().unwrap().to_string());
        let state = Arc::new(Mutex::new(State {
            hosts: hosts.clone(),
            dice: fastrand::Rng::with_seed(seed),
            chance,
            token: 0,
            token_uses: 0,
            next_upload: 0,
            uploads: BTreeMap::new(),
            blobs: BTreeSet::new(),
            bytes: BTreeMap::new(),
            documents: BTreeMap::new(),
            moving: None,
            seen: Seen::default(),
        }));
        for (own, listener) in listeners.into_iter().enumerate() {
            let state = state.clone();
            std::thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let state = state.clone();
                    std::thread::spawn(move || serve(stream, &state, own == 0));
                }
            });
        }
        Self { host: hosts[0].clone(), state }
    }

    /// Writes the password for it where a home's tools look for it.
    pub(crate) fn log_in(registries: &[&Self], home: &Path) {
        let auths = registries.iter().map(|registry| format!(r#""{}":{{"auth":"bWU6c2VjcmV0"}}"#, registry.host));
        fs::create_dir_all(home.join(".docker")).unwrap();
        let auths = auths.collect::<Vec<_>>().join(",");
        fs::write(home.join(".docker/config.json"), format!(r#"{{"auths":{{{auths}}}}}"#)).unwrap();
    }

    /// Begins anew: empty, and with another seed.
    pub(crate) fn reset(&self, seed: u64) {
        let mut state = self.state.lock().unwrap();
        state.dice = fastrand::Rng::with_seed(seed);
        (state.uploads, state.blobs, state.bytes) = Default::default();
        (state.documents, state.seen) = Default::default();
    }

    /// Fails with this chance from now on.
    pub(crate) fn fail(&self, chance: f64) {
        self.state.lock().unwrap().chance = chance;
    }

    /// Moves a tag to what `to` leads to, right after somebody asks for it.
    pub(crate) fn move_when_asked(&self, repository: &str, tag: &str, to: &str) {
        self.state.lock().unwrap().moving = Some((repository.to_owned(), tag.to_owned(), to.to_owned()));
    }

    /// What it has seen.
    pub(crate) fn seen(&self) -> Seen {
        self.state.lock().unwrap().seen.clone()
    }

    /// The digest that a tag leads to.
    pub(crate) fn digest(&self, repository: &str, tag: &str) -> Option<String> {
        let state = self.state.lock().unwrap();
        let (_, bytes) = state.documents.get(&(repository.to_owned(), tag.to_owned()))?;
        Some(Digest::of(bytes).to_string())
    }

    /// Bytes of all blobs, each once.
    pub(crate) fn size(&self) -> u64 {
        let state = self.state.lock().unwrap();
        state.bytes.values().map(|bytes| bytes.len() as u64).sum()
    }
}

fn serve(stream: TcpStream, state: &Mutex<State>, is_own: bool) {
    let _ = stream.set_nodelay(true);
    let mut connection = Connection::new(stream);
    while let Some(request) = connection.request() {
        if answer(&mut connection, &request, state, is_own).is_none() {
            return;
        }
    }
}

/// Waits until there are so many blobs; a client that sends none while it waits is told so.
fn wait_for_blobs(count: usize, state: &Mutex<State>) -> Reply {
    let began = Instant::now();
    while state.lock().unwrap().blobs.len() < count {
        if began.elapsed() > PATIENCE {
            return Reply::new(503);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Reply::new(200)
}

/// Answers one request; nothing if that ended the connection.
fn answer(connection: &mut Connection, request: &Request, state: &Mutex<State>, is_own: bool) -> Option<()> {
    if let Some(count) = request.path.strip_prefix("/when-blobs-are/") {
        let reply = wait_for_blobs(count.parse().unwrap(), state);
        state.lock().unwrap().seen.lines.push(format!("{} {}", reply.status, request.path));
        return connection.reply(&reply, false, None).ok();
    }
    let (fault, share) = {
        let mut state = state.lock().unwrap();
        *state.seen.requests.entry(request.method.clone()).or_default() += 1;
        if !is_own && !request.header("authorization").is_empty() {
            state.seen.violations.push(format!("credentials for another host: {}", request.path));
        }
        let fault = (state.dice.f64() < state.chance).then(|| FAULTS[state.dice.usize(..FAULTS.len())]);
        let is_ripe = state.token_uses > 5;
        let fault = fault.filter(|fault| fault.befalls(request, is_own) && (is_ripe || *fault != Fault::ExpiredToken));
        if let Some(fault) = fault {
            *state.seen.faults.entry(fault).or_default() += 1;
        }
        (fault, state.dice.f64())
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let part = |length: usize| (length as f64 * share) as usize;
    let is_cut = fault == Some(Fault::CutUpload);
    let length = if is_cut { part(request.length()) } else { request.length() };
    let mut body = connection.read(length, fault == Some(Fault::Drip)).ok()?;
    if fault == Some(Fault::Damage) && length > 0 {
        body[part(length)] ^= 1;
    }
    let mut reply = state.lock().unwrap().reply(request, body, fault, is_own);
    if is_cut {
        return None;
    }
    if fault == Some(Fault::Damage) && length == 0 && matches!(reply.status, 200 | 206) && !reply.body.is_empty() {
        let damaged = part(reply.body.len());
        reply.body[damaged] ^= 1;
    }
    if fault == Some(Fault::NoAnswer) {
        return None;
    }
    let is_head = request.method == "HEAD";
    let sent = (fault == Some(Fault::CutAnswer)).then(|| part(reply.body.len()));
    connection.reply(&reply, is_head, sent).ok()?;
    sent.is_none().then_some(())
}

impl Fault {
    /// Whether it can go wrong with this request.
    fn befalls(self, request: &Request, is_own: bool) -> bool {
        let is_upload = matches!(request.method.as_str(), "PUT" | "PATCH") && request.path.contains("/uploads/");
        match self {
            Self::BusyForSeconds | Self::BusyUntil | Self::OutOfOrder | Self::NoAnswer => true,
            Self::CutUpload | Self::Drip => is_upload && request.length() > 0,
            Self::Damage => {
                is_upload && request.length() > 0 || request.method == "GET" && request.path.contains("/blobs/sha256")
            }
            Self::CutAnswer => request.method == "GET" && is_own,
            Self::LostUpload => is_upload,
            Self::LostTail => is_upload && request.method == "PATCH",
            Self::ExpiredToken => is_own && request.path.starts_with("/v2/"),
            Self::Redirect => {
                is_own && request.path.contains("/blobs/") && matches!(request.method.as_str(), "GET" | "PUT" | "PATCH")
            }
        }
    }
}

impl State {
    fn reply(&mut self, request: &Request, body: Vec<u8>, fault: Option<Fault>, is_own: bool) -> Reply {
        match fault {
            Some(Fault::BusyForSeconds) => return Reply::new(429).header("Retry-After", "0"),
            Some(Fault::BusyUntil) => {
                return Reply::new(429).header("Retry-After", "Wed, 21 Oct 2015 07:28:00 GMT");
            }
            Some(Fault::OutOfOrder) => return Reply::new(503),
            Some(Fault::Redirect) => return self.redirect(request),
            Some(Fault::ExpiredToken) => (self.token, self.token_uses) = (self.token + 1, 0),
            Some(
                Fault::CutUpload
                | Fault::CutAnswer
                | Fault::NoAnswer
                | Fault::LostUpload
                | Fault::LostTail
                | Fault::Damage
                | Fault::Drip,
            )
            | None => {}
        }
        if request.path == "/token" {
            return self.give_token(request);
        }
        if is_own && request.header("authorization") != format!("Bearer t{}", self.token) {
            let realm = format!("Bearer realm=\"http://{}/token\",service=\"faulty\"", self.hosts[0]);
            return Reply::error(401, "UNAUTHORIZED").header("WWW-Authenticate", realm);
        }
        self.token_uses += u64::from(is_own);
        self.seen.lines.push(format!("{} {}", request.method, request.path));
        let path = request.path.clone();
        let Some((repository, rest)) = path.strip_prefix("/v2/").and_then(|path| {
            let kind = path.find("/blobs/").or_else(|| path.find("/manifests/"))?;
            Some((&path[..kind], &path[kind + 1..]))
        }) else {
            return Reply::error(404, "NAME_UNKNOWN");
        };
        match (request.method.as_str(), rest.split('/').collect::<Vec<_>>().as_slice()) {
            ("HEAD" | "GET", ["blobs", digest]) => self.blob(repository, digest, request),
            ("POST", ["blobs", "uploads", ""]) => self.open(repository, request),
            (method, ["blobs", "uploads", id]) => self.upload(method, repository, id, request, body, fault),
            ("PUT", ["manifests", name]) => self.document(repository, name, request, &body),
            ("HEAD" | "GET", ["manifests", name]) => self.get_document(repository, name),
            _ => Reply::error(405, "UNSUPPORTED"),
        }
    }

    fn give_token(&mut self, request: &Request) -> Reply {
        // `me:secret`
        if request.header("authorization") != "Basic bWU6c2VjcmV0" {
            return Reply::error(401, "UNAUTHORIZED");
        }
        Reply::new(200).body(format!(r#"{{"token":"t{}","expires_in":3600}}"#, self.token))
    }

    fn redirect(&self, request: &Request) -> Reply {
        let query: Vec<String> = request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        let location = format!("http://{}{}{mark}{}", self.hosts[1], request.path, query.join("&"));
        Reply::new(307).header("Location", location)
    }

    fn blob(&self, repository: &str, digest: &str, request: &Request) -> Reply {
        let is_here = self.blobs.contains(&(repository.to_owned(), digest.to_owned()));
        let Some(bytes) = self.bytes.get(digest).filter(|_| is_here) else { return Reply::error(404, "BLOB_UNKNOWN") };
        match request.header("range").strip_prefix("bytes=").and_then(|range| range.trim_end_matches('-').parse().ok())
        {
            Some(start) => {
                let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
                Reply::new(206).header("Content-Range", range).body(&bytes[start..])
            }
            None => Reply::new(200).body(bytes.clone()),
        }
    }

    fn open(&mut self, repository: &str, request: &Request) -> Reply {
        if let (Some(digest), Some(from)) = (request.query.get("mount"), request.query.get("from"))
            && self.blobs.contains(&(from.clone(), digest.clone()))
        {
            self.blobs.insert((repository.to_owned(), digest.clone()));
            return Reply::new(201).header("Location", format!("/v2/{repository}/blobs/{digest}"));
        }
        self.next_upload += 1;
        self.uploads.insert(self.next_upload, Vec::new());
        let location = self.location(repository, self.next_upload);
        Reply::new(202).header("Location", location)
    }

    /// The address of an upload, in any of the forms in which registries write it.
    fn location(&mut self, repository: &str, id: u64) -> String {
        let path = format!("/v2/{repository}/blobs/uploads/{id}");
        match self.dice.u8(..5) {
            0 => format!("{path}?_state=a%2Fb%3D"),
            1 => format!("http://{}{path}", self.hosts[0]),
            2 => format!("http://{}{path}?signature=x&", self.hosts[1]),
            _ => path,
        }
    }

    fn upload(
        &mut self,
        method: &str,
        repository: &str,
        id: &str,
        request: &Request,
        body: Vec<u8>,
        fault: Option<Fault>,
    ) -> Reply {
        self.seen.blob_bytes += body.len() as u64;
        let Some((id, mut bytes)) = id.parse().ok().and_then(|id| self.uploads.remove_entry(&id)) else {
            return Reply::error(404, "BLOB_UPLOAD_UNKNOWN");
        };
        if fault == Some(Fault::LostUpload) {
            return Reply::error(404, "BLOB_UPLOAD_UNKNOWN");
        }
        let start =
            request.header("content-range").split_once('-').map_or(bytes.len(), |(start, _)| start.parse().unwrap());
        if fault == Some(Fault::LostTail) {
            bytes.truncate(bytes.len() / 2);
        }
        let is_in_order = start == bytes.len();
        if is_in_order {
            bytes.extend(body);
        }
        if method == "PUT" && is_in_order && fault != Some(Fault::CutUpload) {
            let digest = request.query.get("digest").cloned().unwrap_or_default();
            if Digest::of(&bytes).to_string() != digest {
                return Reply::error(400, "DIGEST_INVALID");
            }
            self.blobs.insert((repository.to_owned(), digest.clone()));
            self.bytes.insert(digest.clone(), bytes);
            return Reply::new(201).header("Docker-Content-Digest", digest);
        }
        let range = format!("0-{}", bytes.len().saturating_sub(1));
        self.uploads.insert(id, bytes);
        let location = self.location(repository, id);
        let status = match (is_in_order, method) {
            (false, _) => 416,
            (true, "GET") => 204,
            (true, _) => 202,
        };
        Reply::new(status).header("Location", location).header("Range", range)
    }

    fn document(&mut self, repository: &str, name: &str, request: &Request, bytes: &[u8]) -> Reply {
        let digest = Digest::of(bytes).to_string();
        if name.contains(':') && name != digest {
            return Reply::error(400, "DIGEST_INVALID");
        }
        let Ok(document) = serde_json::from_slice::<Value>(bytes) else {
            return Reply::error(400, "MANIFEST_INVALID");
        };
        let list = |key: &str| document[key].as_array().cloned().unwrap_or_default();
        let key = |part: &Value| (repository.to_owned(), part["digest"].as_str().unwrap_or_default().to_owned());
        let mut blobs = list("layers");
        blobs.extend(document.get("config").cloned());
        let is_complete = blobs.iter().all(|part| self.blobs.contains(&key(part)))
            && list("manifests").iter().all(|part| self.documents.contains_key(&key(part)));
        if !is_complete {
            self.seen.violations.push(format!("{name} came before what it points at"));
            return Reply::error(400, "MANIFEST_BLOB_UNKNOWN");
        }
        let content_type = request.header("content-type").to_owned();
        for name in [name, &digest] {
            self.documents.insert((repository.to_owned(), name.to_owned()), (content_type.clone(), bytes.to_vec()));
        }
        Reply::new(201).header("Docker-Content-Digest", digest)
    }

    fn get_document(&mut self, repository: &str, name: &str) -> Reply {
        let Some((content_type, bytes)) = self.documents.get(&(repository.to_owned(), name.to_owned())).cloned() else {
            return Reply::error(404, "MANIFEST_UNKNOWN");
        };
        if let Some((repository, _, to)) = self.moving.take_if(|(of, tag, _)| of == repository && tag == name) {
            let target = self.documents[&(repository.clone(), to)].clone();
            self.documents.insert((repository, name.to_owned()), target);
        }
        let reply = Reply::new(200).header("Content-Type", content_type);
        reply.header("Docker-Content-Digest", Digest::of(&bytes).to_string()).body(bytes)
    }
}
