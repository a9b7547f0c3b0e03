//! `Git`: files of a repository, as a listing of a checkout.
//!
//! Which commit is meant is asked before any key is made: the commit is what the vertex is known by. Nothing is fetched
//! before a step really needs files.

use super::{Exec, ExecError, context::Context};
use crate::{
    git::{GitError, Repository},
    secrets::Authorization,
    solver::event::Step,
};
use flashbuild_frontend::graph::{GitOp, NodeId};

/// Finds out which commit is meant; what the key depends on.
pub(super) async fn facts(exec: &Exec, id: NodeId, op: &GitOp) -> Result<Vec<u8>, ExecError> {
    let step = exec.events.step(format!("resolve {}", op.shown()));
    let resolved = async {
        if exec.web.is_offline() {
            return Err(GitError::Offline(op.shown()).into());
        }
        let authorization = authorization(exec, op)?;
        Ok::<_, ExecError>(repository(op, authorization.as_ref()).resolve().await?)
    };
    match resolved.await {
        Ok(commit) => {
            step.ran();
            let facts = commit.id.clone().into_bytes();
            exec.commits.lock().expect("no panic while holding it").insert(id, commit);
            Ok(facts)
        }
        Err(error) => {
            step.failed(error.to_string());
            Err(error)
        }
    }
}

/// Fetches the commit and lists its files.
pub(super) async fn listing(exec: &Exec, id: NodeId, op: &GitOp, _: &Step) -> Result<Context, ExecError> {
    let commit = exec.commits.lock().expect("no panic while holding it").get(&id).cloned();
    let commit = commit.ok_or(ExecError::Internal("a commit was not resolved"))?;
    let stage = exec.store.stage_dir()?;
    let checkout = stage.path().join("checkout");
    let authorization = authorization(exec, op)?;
    let time = repository(op, authorization.as_ref()).check_out(&commit, &checkout).await?;
    tokio::task::block_in_place(|| {
        let mut context = Context::list(&checkout, &[])?.held_by(stage);
        context.as_of_commit(time)?;
        Ok(context)
    })
}

fn authorization(exec: &Exec, op: &GitOp) -> Result<Option<Authorization>, ExecError> {
    Ok(tokio::task::block_in_place(|| exec.grants.secrets.for_repository(&op.remote))?)
}

fn repository<'a>(op: &'a GitOp, authorization: Option<&'a Authorization>) -> Repository<'a> {
    Repository {
        remote: &op.remote,
        reference: op.reference.as_deref(),
        checksum: op.checksum.as_deref(),
        keep_git_dir: op.keep_git_dir,
        submodules: op.submodules,
        fetch_by_commit: op.fetch_by_commit,
        authorization,
    }
}
