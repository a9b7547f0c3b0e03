//! Bodies of answers, and headers that several answers have.

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Response, StatusCode,
    body::Frame,
    header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RANGE},
};
use std::io;
use tokio::{
    fs::File,
    io::{AsyncReadExt as _, AsyncSeekExt as _, Take},
};

/// Bytes of a file that go to the connection at once.
const CHUNK: usize = 256 * 1024;

/// The media type of bytes of which nothing is said.
pub(super) const OCTETS: &str = "application/octet-stream";

/// The body of an answer.
pub(super) type Answer = UnsyncBoxBody<Bytes, io::Error>;

/// An answer of bytes in memory.
pub(super) fn bytes(bytes: impl Into<Bytes>) -> Response<Answer> {
    let bytes = bytes.into();
    let length = HeaderValue::from(bytes.len());
    let mut response = Response::new(Full::new(bytes).map_err(|never| match never {}).boxed_unsync());
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response<Answer> {
    let mut response = bytes(Bytes::new());
    *response.status_mut() = status;
    if status == StatusCode::NO_CONTENT {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response
}

pub(super) fn json(value: &impl serde::Serialize) -> Response<Answer> {
    let mut response = bytes(serde_json::to_vec(value).unwrap_or_default());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// An answer of `length` bytes of a file, from where it stands.
pub(super) fn file(file: File, length: u64) -> Response<Answer> {
    let stream = stream::try_unfold(file.take(length), |mut rest: Take<File>| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        if rest.limit() == 0 {
            return Ok(None);
        }
        match rest.read_buf(&mut chunk).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(Some((Frame::data(chunk.freeze()), rest))),
        }
    });
    let mut response = Response::new(StreamBody::new(stream).boxed_unsync());
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// An answer of several parts of a file of `size` bytes (`multipart/byteranges`: RFC 9110, 14.6).
pub(super) fn parts(file: File, size: u64, parts: Vec<(u64, u64)>) -> Response<Answer> {
    let boundary = format!("{:032x}", fastrand::u128(..));
    let head = |(start, end): &(u64, u64)| {
        let last = end - 1;
        format!("\r\n--{boundary}\r\nContent-Type: {OCTETS}\r\nContent-Range: bytes {start}-{last}/{size}\r\n\r\n")
    };
    let tail = format!("\r\n--{boundary}--\r\n");
    let length: u64 = parts.iter().map(|part| head(part).len() as u64 + part.1 - part.0).sum();
    let heads: Vec<String> = parts.iter().map(head).collect();
    let parts = heads.into_iter().zip(parts).map(|(head, (start, end))| (head, start, end - start));
    let parts = parts.chain([(tail.clone(), 0, 0)]).collect::<Vec<_>>().into_iter();
    // Each part is its head, and then what is left of it in the file.
    let stream = stream::try_unfold((parts, file.take(0)), |(mut parts, mut rest)| async move {
        let chunk = if rest.limit() > 0 {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            match rest.read_buf(&mut chunk).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => chunk.freeze(),
            }
        } else {
            let Some((head, start, length)) = parts.next() else { return Ok(None) };
            rest.get_mut().seek(io::SeekFrom::Start(start)).await?;
            rest.set_limit(length);
            head.into()
        };
        Ok(Some((Frame::data(chunk), (parts, rest))))
    });
    let mut response = Response::new(StreamBody::new(stream).boxed_unsync());
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length + tail.len() as u64));
    set(&mut response, CONTENT_TYPE, &format!("multipart/byteranges; boundary={boundary}"));
    response
}

/// Sets a header whose value we made; one that is no header value is left out.
pub(super) fn set(response: &mut Response<Answer>, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// Where an upload goes on, and with which byte. Of nothing, `Range` says `0-0`, as other registries do.
pub(super) fn upload_headers(response: &mut Response<Answer>, location: &str, size: u64) {
    set(response, LOCATION, location);
    set(response, RANGE, &format!("0-{}", size.saturating_sub(1)));
}
