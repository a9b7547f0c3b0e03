//! The same step by other people's runtimes.

use super::{Image, PathBuf, ShownFile, User, fs, skip};

/// A runtime that works on this machine: one refuses hybrid control groups, another an unknown kernel.
fn image(runtime: &str) -> Option<Image> {
    let mut image = Image::busybox()?;
    let found = ["/usr/bin", "/usr/sbin"].map(|folder| PathBuf::from(folder).join(runtime));
    image.spec.runtime = found.into_iter().find(|file| file.is_file());
    if image.spec.runtime.is_none() {
        return skip(&format!("there is no {runtime}"));
    }
    let outcome = image.run(&["true"]);
    match outcome.result {
        Ok(exit) if exit.status.success() => Some(image),
        _ => skip(&format!("{runtime} does not work here: {}", outcome.stderr)),
    }
}

#[test]
fn a_step_is_the_same_by_a_runtime() {
    for runtime in ["runc", "crun"] {
        let Some(mut image) = image(runtime) else { continue };
        let script = b"#!/bin/sh\necho script\n".to_vec();
        for path in ["/run/script", "/dev/pipes/script"] {
            image.spec.files.push(ShownFile { path: path.into(), content: script.clone(), mode: 0o755 });
        }
        image.spec.limits.ulimits = vec!["nofile=77".parse().unwrap()];
        image.spec.cwd = "/srv".into();
        let text = image
            .sh("pwd; cat /etc/hostname; /run/script; /dev/pipes/script; ulimit -n; grep -E '^(CapEff|CapInh|Seccomp:)' /proc/self/status; \
                 busybox unshare -r true 2> /dev/null || echo refused; echo new > /new; cat /proc/keys")
            .text();
        let expected = "/srv\nsandbox\nscript\nscript\n77\nCapInh:\t0000000000000000\nCapEff:\t00000000a80425fb\nSeccomp:\t2\nrefused\n";
        assert_eq!(text, expected, "{runtime}");
        assert_eq!(fs::read(image.upper().join("new")).unwrap(), b"new\n");
        assert_eq!(image.sh("exit 7").exit().status.code(), 7);
        image.spec.user = User { uid: 1000, gid: 1000, groups: vec![1000] };
        assert_eq!(image.sh("id -u").text(), "1000\n");
        image.spec.emulator = Some(super::Emulator { arch: "arm64".to_owned(), program: "/qemu".into() });
        assert!(image.run(&["true"]).error().to_string().contains("cannot bring an emulator of arm64"));
    }
}
