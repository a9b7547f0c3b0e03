//! `Http`: a file at an address, as a listing of that one file.
//!
//! The file is downloaded before any key is made: its digest is what the vertex is known by. What was downloaded lies in
//! the store's blobs; running the vertex only gives it its name.

use super::{Exec, ExecError, context::Context};
use crate::{
    http::Download,
    layer::{Entry, EntryKind},
    solver::event::Hit,
};
use flashbuild_frontend::graph::{HttpOp, NodeId};

/// Permission bits of a file that was downloaded (Dockerfile reference, "Adding files from a URL").
const MODE: u32 = 0o600;

/// Downloads the file, unless it is here and did not change; what its key depends on.
pub(super) async fn facts(exec: &Exec, id: NodeId, op: &HttpOp) -> Result<Vec<u8>, ExecError> {
    let expected = op.checksum.as_ref().map(|text| text.parse());
    let expected = expected.transpose().map_err(|_| ExecError::Internal("a checksum was not checked"))?;
    let step = exec.events.step(format!("download {}", op.shown()));
    let told = |done, total| step.transfer(&op.name, done, total);
    let downloaded = async {
        let authorization = tokio::task::block_in_place(|| exec.grants.secrets.for_file(&op.url))?;
        Ok::<_, ExecError>(exec.web.download(&op.url, authorization.as_ref(), expected.as_ref(), told).await?)
    };
    match downloaded.await {
        Ok(download) => {
            if download.is_new {
                step.ran();
            } else {
                step.cached(Hit::Content);
            }
            let facts = download.blob.to_string().into_bytes();
            exec.downloads.lock().expect("no panic while holding it").insert(id, download);
            Ok(facts)
        }
        Err(error) => {
            step.failed(error.to_string());
            Err(error)
        }
    }
}

/// The listing of the file.
pub(super) fn listing(exec: &Exec, id: NodeId, op: &HttpOp) -> Result<Context, ExecError> {
    let downloads = exec.downloads.lock().expect("no panic while holding it");
    let Download { blob, size, last_modified, .. } =
        downloads.get(&id).cloned().ok_or(ExecError::Internal("a file was not downloaded"))?;
    drop(downloads);
    let stage = exec.store.stage_dir()?;
    let path = exec.store.blob_path(&blob)?.ok_or(ExecError::Internal("a downloaded file is gone"))?;
    let named = stage.path().join(&op.name);
    std::fs::hard_link(path, &named).map_err(|error| ExecError::Context { path: named, error })?;
    let kind = EntryKind::File { size, digest: crate::image::ContentDigest([0; 32]) };
    let mut entry = Entry::new(op.name.as_bytes(), kind);
    entry.mode = MODE;
    // Without a time from the server there is none that would be the same tomorrow.
    entry.mtime = last_modified.unwrap_or(0);
    Context::of_entries(vec![entry], stage)
}
