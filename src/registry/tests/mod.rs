//! The client against a registry that does as it is told, and against a real one.

mod auth;
mod blob;
mod distribution;
mod pull;
mod push;

use super::{BlobSource, Client};
use crate::image::{Descriptor, MediaType};
use flashbuild_frontend::platform::Platform;
use flashbuild_frontend::reference::Reference;

/// Every operation may run in a task of its own. Compiling this is the test.
#[allow(dead_code)]
fn operations_are_tasks(client: &Client, reference: &Reference, platform: &Platform, blob: &Descriptor) {
    fn is_send(_: impl Send) {}
    let source = BlobSource::File("blob".into());
    is_send(client.resolve(reference));
    is_send(client.digest(reference));
    is_send(client.image(reference, platform));
    is_send(client.fetch_blob(reference, blob, &mut Vec::new(), &|_| ()));
    is_send(client.has_blob(reference, &blob.digest));
    is_send(client.push_blob(reference, blob, &source, None, &|_| ()));
    is_send(client.push_manifest(reference, &MediaType::ImageIndex, "{}".into()));
}
