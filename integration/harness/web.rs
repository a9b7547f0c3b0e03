//! A web server of the test's own: it says what the test wants, and remembers what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Files by path, and what was asked for. Ends with the test's process.
pub(crate) struct Web {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<BTreeMap<String, Answer>>,
    /// The `Authorization` without which nothing is answered.
    guard: Mutex<Option<String>>,
    requests: Mutex<Vec<Asked>>,
}

/// What is answered to a request for a path.
#[derive(Clone, Default)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A request, its header names in lower case.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// With its query.
    pub(crate) path: String,
    /// By name.
    pub(crate) headers: BTreeMap<String, String>,
    /// The status of the answer.
    pub(crate) status: u16,
}

impl Web {
    /// Starts one, without any file.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::<Shared>::default();
        let server = Arc::clone(&shared);
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let server = Arc::clone(&server);
                thread::spawn(move || drop(server.serve(&connection)));
            }
        });
        Self { port, shared }
    }

    /// The address of a path.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Has a file from now on. Conditional requests are answered as its validators say.
    pub(crate) fn file(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> &Self {
        self.answer(path, 200, headers, body)
    }

    /// Answers with a status from now on.
    pub(crate) fn answer(&self, path: &str, status: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> &Self {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let answer = Answer { status, headers, body: body.into() };
        self.shared.answers.lock().unwrap().insert(path.to_owned(), answer);
        self
    }

    /// Wants this `Authorization` from now on.
    pub(crate) fn wants(&self, authorization: &str) -> &Self {
        *self.shared.guard.lock().unwrap() = Some(authorization.to_owned());
        self
    }

    /// What was asked for so far.
    pub(crate) fn requests(&self) -> Vec<Asked> {
        self.shared.requests.lock().unwrap().clone()
    }

    /// The statuses that requests for `path` got so far.
    pub(crate) fn statuses(&self, path: &str) -> Vec<u16> {
        self.requests().into_iter().filter(|asked| asked.path == path).map(|asked| asked.status).collect()
    }
}

impl Shared {
    fn serve(&self, connection: &TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(connection).lines();
        let line = lines.next().unwrap_or_else(|| Ok(String::new()))?;
        let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
        let mut headers = BTreeMap::new();
        for line in lines {
            let line = line?;
            let Some((name, value)) = line.split_once(':') else { break };
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
        let missing = Answer { status: 404, ..Answer::default() };
        let mut answer = self.answers.lock().unwrap().get(&path).cloned().unwrap_or(missing);
        let guard = self.guard.lock().unwrap().clone();
        if guard.is_some() && headers.get("authorization") != guard.as_ref() {
            answer = Answer { status: 401, ..Answer::default() };
        }
        let says = |name: &str| answer.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value);
        let fits = |asked: &str, name: &str| headers.get(asked).is_some_and(|asked| Some(asked) == says(name));
        if answer.status == 200 && (fits("if-none-match", "ETag") || fits("if-modified-since", "Last-Modified")) {
            answer = Answer { status: 304, body: Vec::new(), ..answer };
        }
        self.requests.lock().unwrap().push(Asked { path, headers, status: answer.status });
        let mut writer = connection;
        write!(
            writer,
            "HTTP/1.1 {} X\r\nConnection: close\r\nContent-Length: {}\r\n",
            answer.status,
            answer.body.len()
        )?;
        for (name, value) in &answer.headers {
            write!(writer, "{name}: {value}\r\n")?;
        }
        writer.write_all(b"\r\n")?;
        writer.write_all(&answer.body)
    }
}
