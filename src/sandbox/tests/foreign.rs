//! Programs of other architectures, with an emulator of the sandbox's own.

use super::{Emulator, Image, Path, PathBuf, User, skip};
use crate::sandbox::Emulation;

/// `busybox-<arch>` as `integration/setup` fetches it, in cargo's folder for the files of integration tests.
fn busybox(arch: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    // The target folder has profile/deps/program in it.
    let target = target.unwrap_or_else(|| std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned());
    target.join("tmp/busybox").join(format!("busybox-{arch}"))
}

pub(super) fn image(arch: &str) -> Option<Image> {
    let mut image = Image::of(&busybox(arch))?;
    let Some(emulator) = emulator(arch) else { return skip("there is no static qemu") };
    image.spec.emulator = Some(emulator);
    Some(image)
}

/// A static qemu, also where the host has a handler of its own.
fn emulator(arch: &str) -> Option<Emulator> {
    let program = match arch {
        "arm64" => "/usr/bin/qemu-aarch64-static",
        other => &format!("/usr/bin/qemu-{other}-static"),
    };
    match Emulation::for_arch(arch, Path::new(program).is_file().then_some(Path::new(program))) {
        Emulation::Qemu(emulator) => Some(emulator),
        Emulation::Native | Emulation::HostHandler | Emulation::Unavailable { .. } => None,
    }
}

#[test]
fn foreign_programs_run() {
    for (arch, machine) in [("arm64", "aarch64"), ("s390x", "s390x")] {
        let Some(mut image) = image(arch) else { return };
        let text = image.sh("uname -m; echo $0 $$; sh -c 'uname -m'; id -u").text();
        assert_eq!(text, format!("{machine}\nsh 1\n{machine}\n0\n"), "{arch}");
    }
}

#[test]
fn the_handlers_of_the_host_stay_as_they_were() {
    let Some(mut image) = image("arm64") else { return };
    let entries = || std::fs::read_dir("/proc/sys/fs/binfmt_misc").map_or(0, Iterator::count);
    let before = entries();
    let text = image.sh("ls -a /proc/sys/fs/binfmt_misc | wc -l; (echo -1 > /proc/sys/fs/binfmt_misc/arm64) 2>/dev/null || echo refused");
    assert_eq!(text.text(), "2\nrefused\n");
    assert_eq!(entries(), before);
}

#[test]
fn only_three_descriptors_are_open_beside_the_emulators_own() {
    let Some(mut image) = image("arm64") else { return };
    let text =
        image.sh("for fd in /proc/self/fd/*; do readlink $fd; done | grep -v -e pipe: -e /proc/ -e /dev/null; true");
    // What the kernel gives the emulator is the program that it is to run.
    assert!(text.text().lines().all(|line| line.ends_with("/bin/busybox")));
}

#[test]
fn users_owners_and_capabilities_are_those_of_a_native_step() {
    let Some(mut image) = image("arm64") else { return };
    let text = image.sh("touch /x && chown 1234:5678 /x && stat -c %u:%g /x; grep CapEff /proc/self/status").text();
    assert_eq!(text, "1234:5678\nCapEff:\t00000000a80425fb\n");
    let owned = std::fs::metadata(image.upper().join("x")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&owned), 1234);
    image.spec.user = User { uid: 1000, gid: 1000, groups: vec![1000] };
    assert_eq!(image.sh("id -u").text(), "1000\n");
}

#[test]
fn a_lower_layer_can_be_changed_and_hidden() {
    let Some(mut image) = image("arm64") else { return };
    std::fs::write(image.layer().join("gone"), "").unwrap();
    image.sh("busybox rm /gone; echo x > /bin/new; [ ! -e /gone ]").text();
    assert!(image.upper().join("bin/new").is_file());
}

#[test]
fn an_emulator_that_is_not_there_is_named() {
    let Some(mut image) = Image::busybox() else { return };
    image.spec.emulator = Some(Emulator { arch: "arm64".to_owned(), program: "/no/qemu".into() });
    let message = image.run(&["true"]).error().to_string();
    assert!(message.starts_with("cannot open the emulator /no/qemu: No such file"), "{message}");
}
