//! Code for GPUs that the image is not for (`optimize/strip/fat_binary.rs`).

use super::{Action, Pass, Trust};

pub(super) const PASS: Pass = Pass {
    name: "gpu-code",
    title: "code for GPUs that are not among those of --gpu",
    safe: "a GPU loads only code that fits it; on GPUs that were not named the image will not work. The code becomes zeros, which \
           compress to nothing: files keep their sizes",
    trust: Trust::Profile,
    action: Action::BlankGpuCode,
};
