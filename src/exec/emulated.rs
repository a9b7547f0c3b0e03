//! What emulation cost: the steps that ran on a processor that this machine has not.

use super::ExecError;
use crate::sandbox::{Emulation, Emulator};
use flashbuild_frontend::{graph::NodeId, platform::Platform};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::Mutex,
    time::Duration,
};

/// How this machine runs the programs of a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignPrograms {
    /// Whether something other than the processor does.
    pub emulated: bool,
    /// What a sandbox has to bring for it.
    pub emulator: Option<Emulator>,
    /// What that is told by the environment: `NAME=value`.
    pub env: Option<String>,
}

impl ForeignPrograms {
    /// Finds a way; `given` is an emulator that the user named.
    pub fn of(platform: &Platform, given: Option<&Path>) -> Result<Self, ExecError> {
        let emulation = Emulation::for_arch(&platform.arch, given);
        let env = emulation.environment(&platform.arch);
        let (emulated, emulator) = match emulation {
            Emulation::Native => (false, None),
            Emulation::HostHandler => (true, None),
            Emulation::Qemu(emulator) => (true, Some(emulator)),
            Emulation::Unavailable { hint } => {
                return Err(ExecError::NoEmulator { platform: platform.to_string(), hint: hint.to_owned() });
            }
        };
        Ok(Self { emulated, emulator, env })
    }
}

/// A step that ran emulated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmulatedRun {
    /// The architecture of its programs.
    pub arch: String,
    /// From start to end.
    pub took: Duration,
    /// Time on processors, the emulator's own included.
    pub cpu_time: Duration,
}

/// The emulated steps of a build.
#[derive(Debug, Default)]
pub struct EmulatedSteps(Mutex<BTreeMap<NodeId, EmulatedRun>>);

impl EmulatedSteps {
    pub(super) fn add(&self, node: NodeId, run: EmulatedRun) {
        self.0.lock().expect("no panic while adding").insert(node, run);
    }

    /// By node.
    pub fn runs(&self) -> BTreeMap<NodeId, EmulatedRun> {
        self.0.lock().expect("no panic while adding").clone()
    }

    /// What it came to, in a sentence; `None` if nothing was emulated.
    pub fn summary(&self) -> Option<String> {
        let runs = self.runs();
        let took: Duration = runs.values().map(|run| run.took).sum();
        let archs: BTreeSet<&str> = runs.values().map(|run| run.arch.as_str()).collect();
        let archs = archs.into_iter().collect::<Vec<_>>().join(" and ");
        let steps = if runs.len() == 1 { "1 step".to_owned() } else { format!("{} steps", runs.len()) };
        let text = || format!("{steps} for {archs} ran emulated, for {:.1} s in all", took.as_secs_f64());
        (!runs.is_empty()).then(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(arch: &str, seconds: u64) -> EmulatedRun {
        let time = Duration::from_secs(seconds);
        EmulatedRun { arch: arch.to_owned(), took: time, cpu_time: time }
    }

    #[test]
    fn what_it_came_to_is_one_sentence() {
        let node = |index: &str| serde_json::from_str::<NodeId>(index).unwrap();
        let steps = EmulatedSteps::default();
        assert_eq!(steps.summary(), None);
        steps.add(node("4"), run("s390x", 3));
        assert_eq!(steps.summary().unwrap(), "1 step for s390x ran emulated, for 3.0 s in all");
        steps.add(node("2"), run("arm64", 4));
        assert_eq!(steps.summary().unwrap(), "2 steps for arm64 and s390x ran emulated, for 7.0 s in all");
    }
}
