//! GitHub's cache service, version 2, as far as its definition goes (`github.actions.results.api.v1.CacheService` in JSON over
//! Twirp), with the storage that its addresses lead to. It is strict: an entry is there once it was finalised with the size
//! that was uploaded, is never replaced, and is found by its key and version, or by the beginning of its key, the newest first.

use super::faulty::http::{Connection, Reply, Request};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
};

/// What a job shows.
pub(crate) const TOKEN: &str = "a-token-of-the-job";
const SERVICE: &str = "/twirp/github.actions.results.api.v1.CacheService/";

/// The service; its threads end with the process.
pub(crate) struct ActionsCache {
    port: u16,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// By key and version, in the order in which they were created.
    entries: Vec<Entry>,
    downloads: BTreeMap<String, usize>,
}

struct Entry {
    key: String,
    version: String,
    bytes: Vec<u8>,
    is_final: bool,
}

impl ActionsCache {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().unwrap().port();
        let state = Arc::<Mutex<State>>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || serve(stream, port, &shared));
            }
        });
        Self { port, state }
    }

    /// `ACTIONS_RESULTS_URL`.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/", self.port)
    }

    /// Keys of the entries that are there, and their sizes.
    pub(crate) fn entries(&self) -> Vec<(String, usize)> {
        let state = self.state.lock().unwrap();
        state
            .entries
            .iter()
            .filter(|entry| entry.is_final)
            .map(|entry| (entry.key.clone(), entry.bytes.len()))
            .collect()
    }

    /// How many entries with keys of this beginning were downloaded.
    pub(crate) fn downloads(&self, prefix: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.downloads.iter().filter(|(key, _)| key.starts_with(prefix)).map(|(_, count)| count).sum()
    }
}

fn serve(stream: TcpStream, port: u16, state: &Mutex<State>) {
    let mut connection = Connection::new(stream);
    while let Some(request) = connection.request() {
        let Ok(body) = connection.read(request.length(), false) else { return };
        let reply = state.lock().unwrap().answer(&request, body, port);
        if connection.reply(&reply, request.method == "HEAD", None).is_err() {
            return;
        }
    }
}

impl State {
    fn answer(&mut self, request: &Request, body: Vec<u8>, port: u16) -> Reply {
        match (request.method.as_str(), request.path.strip_prefix(SERVICE)) {
            ("POST", Some(_)) if request.header("authorization") != format!("Bearer {TOKEN}") => Reply::new(401),
            ("POST", Some(method)) => match serde_json::from_slice(&body) {
                Ok(asked) => self.call(method, &asked, port),
                Err(_) => Reply::new(400),
            },
            ("PUT", None) => self.upload(request, body),
            ("GET", None) => self.download(request),
            _ => Reply::new(405),
        }
    }

    fn call(&mut self, method: &str, asked: &Value, port: u16) -> Reply {
        let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
        let (key, version) = (text("key"), text("version"));
        if key.is_empty() || version.len() != 64 {
            return twirp(400, "invalid_argument");
        }
        let known = self.entries.iter().position(|entry| entry.key == key && entry.version == version);
        let signed = |number: usize| format!("http://127.0.0.1:{port}/storage/{number}?sig=signed");
        match (method, known) {
            ("CreateCacheEntry", Some(_)) => twirp(409, "already_exists"),
            ("CreateCacheEntry", None) => {
                self.entries.push(Entry { key, version, bytes: Vec::new(), is_final: false });
                answer(&json!({ "ok": true, "signed_upload_url": signed(self.entries.len() - 1) }))
            }
            ("FinalizeCacheEntryUpload", Some(number)) => {
                let entry = &mut self.entries[number];
                let size = asked["size_bytes"].as_str().and_then(|size| size.parse().ok());
                entry.is_final = size == Some(entry.bytes.len());
                answer(&json!({ "ok": entry.is_final, "entry_id": number.to_string() }))
            }
            ("FinalizeCacheEntryUpload", None) => twirp(404, "not_found"),
            ("GetCacheEntryDownloadURL", _) => {
                let prefixes: Vec<&str> =
                    asked["restore_keys"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
                let ours = |entry: &Entry| entry.is_final && entry.version == version;
                let exact = self.entries.iter().position(|entry| ours(entry) && entry.key == key);
                let newest = || {
                    let fits = |entry: &Entry| prefixes.iter().any(|prefix| entry.key.starts_with(prefix));
                    self.entries.iter().rposition(|entry| ours(entry) && fits(entry))
                };
                match exact.or_else(newest) {
                    Some(number) => answer(&json!({
                        "ok": true, "signed_download_url": signed(number), "matched_key": self.entries[number].key
                    })),
                    None => answer(&json!({ "ok": false })),
                }
            }
            _ => twirp(404, "bad_route"),
        }
    }

    fn upload(&mut self, request: &Request, body: Vec<u8>) -> Reply {
        let is_block = request.header("x-ms-blob-type") == "BlockBlob" && request.header("authorization").is_empty();
        match self.stored(request) {
            Some(entry) if is_block && !entry.is_final => {
                entry.bytes = body;
                Reply::new(201)
            }
            _ => Reply::new(403),
        }
    }

    fn download(&mut self, request: &Request) -> Reply {
        let found =
            self.stored(request).filter(|entry| entry.is_final).map(|entry| (entry.key.clone(), entry.bytes.clone()));
        let Some((key, bytes)) = found else { return Reply::new(404) };
        *self.downloads.entry(key).or_default() += 1;
        Reply::new(200).body(bytes)
    }

    /// The entry at a signed address.
    fn stored(&mut self, request: &Request) -> Option<&mut Entry> {
        let number: usize = request.path.strip_prefix("/storage/")?.parse().ok()?;
        self.entries.get_mut(number).filter(|_| request.query.get("sig").is_some_and(|sig| sig == "signed"))
    }
}

fn answer(body: &Value) -> Reply {
    Reply::new(200).header("Content-Type", "application/json").body(body.to_string())
}

/// An error, as Twirp has them.
fn twirp(status: u16, code: &str) -> Reply {
    Reply::new(status).header("Content-Type", "application/json").body(json!({ "code": code, "msg": "" }).to_string())
}
