//! Limits of a step with all its processes. They need a hierarchy of version 2 that this process may make groups in.

use super::{Image, fs, skip};
use crate::sandbox::{ControlGroup, ControlGroups, GroupLimits};

impl Image {
    /// In a group of its own.
    fn limited(&mut self, limits: &GroupLimits) -> Option<ControlGroup> {
        match ControlGroups::new(limits) {
            Err(failure) => skip(&failure.to_string()),
            Ok(groups) => {
                let group = groups.make().unwrap();
                self.spec.limits.group = Some(group.path().to_owned());
                Some(group)
            }
        }
    }
}

#[test]
fn a_step_that_uses_too_much_memory_is_killed_and_told_from_others() {
    let Some(mut image) = Image::busybox() else { return };
    let limits = GroupLimits { memory: Some(32 << 20), ..GroupLimits::default() };
    let Some(group) = image.limited(&limits) else { return };
    // What tail keeps of a line without an end is in memory.
    assert!(image.sh("head -c 1m /dev/zero | busybox tail | busybox wc -c").exit().status.success());
    assert!(!group.ran_out_of_memory());
    assert!(!image.sh("busybox head -c 100m /dev/zero | busybox tail | busybox wc -c").exit().status.success());
    assert!(group.ran_out_of_memory());
}

#[test]
fn a_step_has_no_more_processes_than_it_may() {
    let Some(mut image) = Image::busybox() else { return };
    let limits = GroupLimits { pids: Some(5), ..GroupLimits::default() };
    let Some(_group) = image.limited(&limits) else { return };
    let outcome = image.sh("for i in 1 2 3 4 5 6; do sleep 1 & done; wait");
    assert!(outcome.stderr.contains("fork"), "{}", outcome.stderr);
}

#[test]
fn a_step_is_in_its_group_sees_no_other_and_leaves_none() {
    let Some(mut image) = Image::busybox() else { return };
    let limits = GroupLimits { cpu_quota: Some(50_000), cpuset_cpus: Some("0".to_owned()), ..GroupLimits::default() };
    let Some(group) = image.limited(&limits) else { return };
    let path = group.path().to_owned();
    assert_eq!(fs::read_to_string(path.join("cpu.max")).unwrap(), "50000 100000\n");
    let text = image.sh("grep ^0:: /proc/self/cgroup; grep Cpus_allowed_list /proc/self/status").text();
    assert_eq!(text, "0::/\nCpus_allowed_list:\t0\n");
    drop(group);
    assert!(!path.exists());
}
