//! Into a container engine: `docker load` without the client.
//!
//! The engine is the one whose socket is there: `DOCKER_HOST`, Docker's usual place, then Podman's, which speaks the same
//! language (Docker Engine API, `POST /images/load`).

use super::ExportError;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::{BodyExt as _, Limited, StreamBody};
use hyper::{Request, body::Frame, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use std::{env, fs, io, path::Path, path::PathBuf};
use tokio::{fs::File, io::AsyncReadExt as _, net::UnixStream};

/// Bytes of an engine's answer that are read.
const LONGEST_ANSWER: usize = 1 << 20;
const CHUNK: usize = 256 * 1024;

/// The socket of an engine of this machine.
pub fn engine_socket() -> Result<PathBuf, ExportError> {
    let variable = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
    if let Some(host) = variable("DOCKER_HOST") {
        let path = host.strip_prefix("unix://").map(PathBuf::from);
        return path.ok_or_else(|| {
            ExportError::Engine(format!("DOCKER_HOST is {host}: only a unix:// socket can be loaded into"))
        });
    }
    let runtime = variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    let of_user = |path: &str| runtime.as_ref().map(|folder| folder.join(path));
    let places = [
        Some(PathBuf::from("/var/run/docker.sock")),
        of_user("docker.sock"),
        of_user("podman/podman.sock"),
        Some(PathBuf::from("/run/podman/podman.sock")),
    ];
    let found = places.into_iter().flatten().find(|path| fs::exists(path).unwrap_or(false));
    found.ok_or_else(|| {
        ExportError::Engine("no engine listens: start dockerd or podman.socket, or set DOCKER_HOST".to_owned())
    })
}

/// Loads an archive of `type=docker` into the engine at `socket`; returns what it says.
pub async fn load(socket: &Path, archive: &Path) -> Result<String, ExportError> {
    let failed = |error: &dyn std::fmt::Display| ExportError::Engine(format!("{}: {error}", socket.display()));
    let file = File::open(archive).await.map_err(|error| failed(&error))?;
    let size = file.metadata().await.map_err(|error| failed(&error))?.len();
    let body = StreamBody::new(Box::pin(stream::try_unfold(file, |mut file| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let read = file.read_buf(&mut chunk).await?;
        Ok::<Option<(Frame<Bytes>, File)>, io::Error>((read > 0).then(|| (Frame::data(chunk.freeze()), file)))
    })));
    let stream = UnixStream::connect(socket).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let request = Request::post("/images/load?quiet=1")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/x-tar")
        .header(header::CONTENT_LENGTH, size)
        .body(body)
        .map_err(|error| failed(&error))?;
    let served = tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let is_success = response.status().is_success();
    let answer = Limited::new(response.into_body(), LONGEST_ANSWER).collect().await.map_err(|error| failed(&error))?;
    served.abort();
    let text = String::from_utf8_lossy(&answer.to_bytes()).into_owned();
    match said(&text) {
        Ok(loaded) if is_success => Ok(loaded),
        Ok(why) | Err(why) => Err(failed(&why)),
    }
}

/// What an engine's answer, a JSON object a line, comes to.
fn said(text: &str) -> Result<String, String> {
    #[derive(serde::Deserialize)]
    struct Line {
        stream: Option<String>,
        error: Option<String>,
        message: Option<String>,
    }
    let mut all = String::new();
    for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
        if let Some(error) = line.error {
            return Err(error);
        }
        all.extend([line.stream, line.message].into_iter().flatten());
    }
    Ok(all.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::said;

    #[test]
    fn an_engines_answer_is_lines_of_json() {
        for (text, expected) in [
            ("{\"stream\":\"Loaded image: app:1\\n\"}\r\n", Ok("Loaded image: app:1")),
            (
                "{\"stream\":\"x\"}\n{\"errorDetail\":{\"message\":\"no space\"},\"error\":\"no space\"}",
                Err("no space"),
            ),
            ("{\"message\":\"bad\"}", Ok("bad")),
            ("", Ok("")),
        ] {
            assert_eq!(said(text), expected.map(str::to_owned).map_err(str::to_owned), "{text}");
        }
    }
}
