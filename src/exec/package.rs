//! `Package`: artifacts become one layer, once for every project that names them.

use super::{Exec, ExecError, Need, Product, origins};
use crate::{
    image::DiffId,
    layer::View,
    packages::{Artifact, Made, PackageError, Packages, TreeBelow},
    solver::event::Step,
};
use flashbuild_frontend::{
    graph::NodeId,
    package::{Package, PackageBuild, PackageOp},
    platform::Platform,
};
use std::collections::BTreeSet;

/// Fetches what is not here, takes what steps made, and unpacks it straight into the layer.
pub(super) async fn make(
    exec: &Exec,
    id: NodeId,
    op: &PackageOp,
    inputs: &[Product],
    step: &Step,
) -> Result<Product, ExecError> {
    if op.is_of_tree() {
        return settle(exec, id, op, inputs, step).await;
    }
    let mut steps = exec.graph.node(id).inputs.iter().zip(inputs);
    let fetch = op.packages.iter().map(|package| {
        let made = if package.layout.is_made() { steps.next() } else { None };
        async move {
            match made {
                Some((from, product)) => take(exec, *from, package, product, step).await.map(Artifact::Made),
                None => Ok(Artifact::Blob(exec.packages.fetch(package, step).await?)),
            }
        }
    });
    let artifacts: Vec<Artifact> = futures_util::future::try_join_all(fetch).await?;
    let epoch = exec.graph.epoch;
    tokio::task::block_in_place(|| {
        let items = exec.packages.unpack(&exec.layers, op, artifacts, epoch)?;
        let made = exec.layers.from_files(items, epoch, exec.form(id))?;
        Ok(Product::tree(vec![made.diff_id], origins(inputs)))
    })
}

/// Makes a layer of what the tree below it is, as far as it has to be read for that.
async fn settle(
    exec: &Exec,
    id: NodeId,
    op: &PackageOp,
    inputs: &[Product],
    step: &Step,
) -> Result<Product, ExecError> {
    let [before, .., said] = inputs else { return Err(ExecError::Internal("a layer of a tree is made of several")) };
    let layers: Vec<DiffId> = inputs[..inputs.len() - 1].iter().flat_map(Product::layers).copied().collect();
    exec.sources.bring(&exec.layers, &layers, Need::Tables, Some(step)).await?;
    let tree = tokio::task::block_in_place(|| TreeBelow::of_files(exec.layers.clone(), layers.clone()))?;
    let of = |positions: BTreeSet<usize>| positions.into_iter().map(|layer| layers[layer]).collect::<Vec<_>>();
    let settings = of(Packages::settings_in(&tree));
    exec.sources.bring(&exec.layers, &settings, Need::Files, Some(step)).await?;
    let libraries = of(tokio::task::block_in_place(|| Packages::libraries_in(op, &tree))?);
    exec.sources.bring(&exec.layers, &libraries, Need::Files, Some(step)).await?;
    exec.sources.bring(&exec.layers, said.layers(), Need::Files, Some(step)).await?;
    let epoch = exec.graph.epoch;
    tokio::task::block_in_place(|| {
        let before = exec.layers.view(before.layers())?;
        let said = TreeBelow::of_files(exec.layers.clone(), said.layers().to_vec())?;
        let items = Packages::settle(op, &tree, &before, &said, epoch)?;
        let made = exec.layers.from_files(items, epoch, exec.form(id))?;
        Ok(Product::tree(vec![made.diff_id], origins(inputs)))
    })
}

/// The one file that a step left of what it was to make.
async fn take(exec: &Exec, from: NodeId, package: &Package, product: &Product, step: &Step) -> Result<Made, ExecError> {
    // What is below the layer of the process is not looked into.
    let layer = *product.layers().last().ok_or(ExecError::Internal("a process has a layer"))?;
    exec.sources.bring(&exec.layers, &[layer], Need::Files, Some(step)).await?;
    tokio::task::block_in_place(|| {
        let refuse =
            |problem: String| PackageError::Artifact { name: format!("{} {}", package.name, package.version), problem };
        let view = View::new(vec![exec.layers.toc(&layer)?]);
        let folder = PackageBuild::MADE.trim_start_matches('/').as_bytes();
        let files: Vec<_> = view.read_dir(folder).filter(|hit| hit.file().is_some()).collect();
        let [file] = files.as_slice() else {
            let problem =
                format!("the step that builds it left {} files in {}, not one", files.len(), PackageBuild::MADE);
            return Err(refuse(problem).into());
        };
        let path = &file.entry.path;
        let name = String::from_utf8_lossy(&path[folder.len() + 1..]).into_owned();
        let platform = exec.graph.node(from).platform.clone().unwrap_or_else(Platform::host);
        Ok(Made { name, file: exec.layers.open_file(&layer, path)?, platform })
    })
}
