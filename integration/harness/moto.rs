//! A server that speaks S3's language, and checks signatures: `moto`, as pip installs it, behind `integration/signed-s3`.

use super::{peer, skip};
use std::{
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// The only account that it knows.
pub(crate) const KEYS: [&str; 2] = ["test", "very secret"];

const PATIENCE: Duration = Duration::from_secs(30);

/// A running server with one bucket; gone with the value.
pub(crate) struct Moto {
    server: Child,
    port: u16,
}

impl Moto {
    /// Starts one; nothing if it is not installed.
    pub(crate) fn start(bucket: &str) -> Option<Self> {
        let installed = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto/bin/python");
        let mut command = if installed.is_file() {
            Command::new(installed)
        } else {
            peer("moto_server")?;
            Command::new("python3")
        };
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|socket| socket.local_addr()).unwrap().port();
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("integration/signed-s3"))
            .arg(port.to_string())
            .args(KEYS);
        let server = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut moto = Self { server: server.expect("it starts"), port };
        let began = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if moto.server.try_wait().unwrap().is_some() || began.elapsed() > PATIENCE {
                skip("moto does not start");
                return None;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(moto.ask("PUT", &format!("/{bucket}")).starts_with("HTTP/1.1 200"), "a bucket is made");
        Some(moto)
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The names of the objects in a bucket, and their sizes.
    pub(crate) fn objects(&self, bucket: &str) -> Vec<(String, u64)> {
        let list = self.ask("GET", &format!("/{bucket}?list-type=2"));
        let between = |text: &str, tag: &str| -> Option<String> {
            Some(text.split_once(&format!("<{tag}>"))?.1.split_once('<')?.0.to_owned())
        };
        let object = |text: &str| Some((between(text, "Key")?, between(text, "Size")?.parse().ok()?));
        list.split("<Contents>").skip(1).filter_map(object).collect()
    }

    /// How many uploads in parts are neither complete nor aborted.
    pub(crate) fn unfinished(&self, bucket: &str) -> usize {
        self.ask("GET", &format!("/{bucket}?uploads")).matches("<UploadId>").count()
    }

    fn ask(&self, method: &str, target: &str) -> String {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        write!(
            connection,
            "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Length: 0\r\nConnection: close\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n\r\n",
            self.port
        )
        .unwrap();
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
