//! The local store as a registry of its own: the server side of the OCI distribution specification.
//!
//! 1. [`Server::bind`] takes an address; [`Server::run`] answers until its task is dropped.
//! 2. `route` reads what is asked for. What is no route of the specification is 404, before anything is looked up.
//! 3. `blob`, `upload`, `document` and `listing` answer, one file for each kind of thing.
//!
//! A repository is what one types as the name of an image: `app` is the local image `app`, and
//! `registry.example/team/app` the one that was built, or pushed here, under that name. Blobs and documents are the
//! store's, so what one repository has need not be sent to another.
//!
//! What holds throughout:
//!
//! - Nothing is written unless [`Access::ReadWrite`] was asked for: who may write gives local names a meaning.
//! - A document is taken only if it is one and all that it points at is here; a blob only if it has its digest.
//! - Referrers are kept as the index under the tag `sha256-…` that the specification describes for registries without
//!   them ("Referrers Tag Schema"), so that they are an image like others: listed, kept, removable.
//! - What is uploaded stays, also before it has a name, for as long as the server's lease (`lease`).

mod auth;
mod blob;
mod body;
mod document;
mod error;
mod lease;
mod listing;
mod range;
mod route;
mod tls;
mod upload;

pub use auth::Passwords;
pub use tls::Identity;

use crate::store::Store;
use body::Answer;
use error::Refusal;
use hyper::{Request, Response, body::Incoming, header::HeaderValue, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use route::Route;
use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{Arc, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::Semaphore,
};
use upload::Uploads;

/// Connections at a time.
const MOST_CONNECTIONS: usize = 512;
/// How long a client may take to say what it wants.
const HEADER_PATIENCE: Duration = Duration::from_secs(30);

/// What clients may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Pull and list.
    ReadOnly,
    /// Push and remove, too.
    ReadWrite,
}

/// How to serve.
#[derive(Debug)]
pub struct Options {
    /// What clients may do.
    pub access: Access,
    /// Who they have to be; `None` serves everybody who can connect.
    pub passwords: Option<Passwords>,
    /// The certificate to show; `None` speaks plain HTTP.
    pub identity: Option<Identity>,
}

/// A registry that has its address.
pub struct Server {
    listener: TcpListener,
    shared: Arc<Shared>,
    identity: Option<Identity>,
}

/// What all connections have in common.
struct Shared {
    store: Store,
    access: Access,
    passwords: Option<Passwords>,
    uploads: Uploads,
}

impl Server {
    /// Takes an address; port 0 is any free one.
    pub async fn bind(store: Store, address: SocketAddr, options: Options) -> io::Result<Self> {
        let Options { access, passwords, identity } = options;
        let listener = TcpListener::bind(address).await?;
        let shared = Arc::new(Shared { store, access, passwords, uploads: Uploads::default() });
        Ok(Self { listener, shared, identity })
    }

    /// Where it is.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers, for ever.
    pub async fn run(self) -> io::Result<()> {
        let _lease = lease::keep(self.shared.store.clone())?;
        let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // A connection that ended before it began, or too many open files: the next one may do.
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            let Ok(place) = room.clone().acquire_owned().await else { return Ok(()) };
            let (shared, identity) = (self.shared.clone(), self.identity.clone());
            tokio::spawn(async move {
                let _place = place;
                let _ = stream.set_nodelay(true);
                match identity {
                    None => shared.connection(stream).await,
                    Some(identity) => {
                        if let Ok(stream) = identity.accept(stream).await {
                            shared.connection(stream).await;
                        }
                    }
                }
            });
        }
    }
}

impl Shared {
    async fn connection(self: Arc<Self>, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let service = service_fn(|request| {
            let shared = self.clone();
            async move { Ok::<_, Infallible>(shared.answer(request).await) }
        });
        // What breaks a connection is the client's affair: it will be back.
        let _ = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER_PATIENCE)
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Answer> {
        let mut response = match self.dispatch(request).await {
            Ok(response) => response,
            Err(refusal) => refusal.into_response(),
        };
        // Docker's clients look for it.
        response.headers_mut().insert("docker-distribution-api-version", HeaderValue::from_static("registry/2.0"));
        response
    }

    async fn dispatch(&self, request: Request<Incoming>) -> Result<Response<Answer>, Refusal> {
        if let Some(passwords) = &self.passwords {
            passwords.check(request.headers())?;
        }
        let route = Route::of(&request)?;
        if route.writes() && self.access == Access::ReadOnly {
            return Err(Refusal::ReadOnly);
        }
        match route {
            Route::Check => Ok(body::json(&serde_json::json!({}))),
            Route::Catalog => self.catalog(request.uri().query()),
            Route::Tags { repository } => self.tags(&repository, request.uri().query()),
            Route::Referrers { repository, digest } => self.referrers(&repository, &digest, request.uri().query()),
            Route::ReadBlob { digest } => self.read_blob(&digest, request.headers()).await,
            Route::OpenUpload { repository } => self.open_upload(&repository, request).await,
            Route::ReadUpload { repository, id } => self.read_upload(&repository, &id).await,
            Route::Append { repository, id } => self.append(&repository, &id, request).await,
            Route::CloseUpload { repository, id } => self.close_upload(&repository, &id, request).await,
            Route::Cancel { id } => self.cancel(&id),
            Route::ReadDocument { repository, name } => self.read_document(&repository, &name),
            Route::WriteDocument { repository, name } => self.write_document(&repository, &name, request).await,
            Route::Remove { repository, name } => self.remove(&repository, &name),
        }
    }
}

/// A poisoned lock guards what was whole before the panic, or is about to be dropped.
fn unpoison<T>(result: Result<T, PoisonError<T>>) -> T {
    result.unwrap_or_else(PoisonError::into_inner)
}
