//! `Package`: artifacts become one layer, once for every project that names them.

use super::{Exec, ExecError, Product};
use crate::solver::event::Step;
use flashbuild_frontend::{graph::NodeId, package::PackageOp};
use std::sync::Arc;

/// Fetches what is not here, and unpacks it straight into the layer.
pub(super) async fn make(exec: &Exec, id: NodeId, op: &PackageOp, step: &Step) -> Result<Product, ExecError> {
    let fetch = op.packages.iter().map(|package| exec.packages.fetch(package, step));
    let artifacts = futures_util::future::try_join_all(fetch).await?;
    let epoch = exec.graph.epoch;
    tokio::task::block_in_place(|| {
        let items = exec.packages.unpack(&exec.layers, op, &artifacts, epoch)?;
        let made = exec.layers.from_files(items, epoch, exec.form(id))?;
        Ok(Product::tree(vec![made.diff_id], Arc::default()))
    })
}
