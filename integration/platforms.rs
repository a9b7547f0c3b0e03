//! One build, several platforms: an index in a registry, and each image what the Dockerfile says.

use crate::harness::{Registry, Workspace, is_root, peer, skip, tree_report};
use flashbuild::solver::event::Outcome;

const PLATFORMS: [&str; 2] = ["linux/amd64", "linux/arm64"];

const DOCKERFILE: &str = "
FROM --platform=$BUILDPLATFORM scratch AS made
ARG BUILDARCH
ADD busybox-$BUILDARCH.tar /
ENV PATH=/bin
RUN mkdir -p /out/made/folder && cd /out/made && echo made > folder/file && ln -s folder/file link \\
 && chown -hR 5:6 . && chmod 0700 folder && chmod 04711 folder/file

FROM scratch
ARG TARGETARCH
COPY --from=made /out /
COPY --chown=7:8 --chmod=0640 greeting /srv/
COPY for-$TARGETARCH /machine
ADD payload.tar /opt/
LABEL purpose=test
";

/// With everything in it that an archive can say about a file.
fn payload() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let header = |kind, mode, size| {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(size);
        header.set_uid(10);
        header.set_gid(20);
        header
    };
    let content = b"payload\n";
    let mut folder = header(tar::EntryType::Directory, 0o1750, 0);
    let mut file = header(tar::EntryType::Regular, 0o644, content.len() as u64);
    archive.append_data(&mut folder, "payload", std::io::empty()).unwrap();
    archive.append_pax_extensions([("SCHILY.xattr.user.note", &b"kept"[..])]).unwrap();
    archive.append_data(&mut file, "payload/file", &content[..]).unwrap();
    archive.append_link(&mut header(tar::EntryType::Link, 0o644, 0), "payload/twin", "payload/file").unwrap();
    archive.append_link(&mut header(tar::EntryType::Symlink, 0o777, 0), "payload/out", "/srv/greeting").unwrap();
    archive.into_inner().unwrap()
}

fn expected(machine: &str) -> Vec<String> {
    let text = format!(
        "f 0644 0:0 /machine {machine}
d 0755 5:6 /made
d 0700 5:6 /made/folder
f 4711 5:6 /made/folder/file 5 9ccbd3f1
l 0777 5:6 /made/link -> folder/file
d 0755 0:0 /opt
d 1750 10:20 /opt/payload
f 0644 10:20 /opt/payload/file 8 d4e4877b [user.note=kept]
l 0777 10:20 /opt/payload/out -> /srv/greeting
h 0644 10:20 /opt/payload/twin = /opt/payload/file [user.note=kept]
d 0755 7:8 /srv
f 0640 7:8 /srv/greeting 6 5891b5b5"
    );
    text.lines().map(str::to_owned).collect()
}

fn workspace() -> Option<Workspace> {
    let work = Workspace::with_busybox(&PLATFORMS, DOCKERFILE)?;
    work.file("greeting", "hello\n").file("for-amd64", "for amd64\n").file("for-arm64", "for arm64\n");
    work.file("payload.tar", payload());
    Some(work)
}

#[test]
fn every_platform_of_a_pushed_index_is_what_the_dockerfile_says() {
    if !is_root() {
        return skip("owners can be compared by root only");
    }
    let (Some(work), Some(registry)) = (workspace(), Registry::start()) else { return };
    let name = registry.name("app:1");
    let run = work.build(&["--platform", &PLATFORMS.join(","), "-t", &name, "--push"]).succeeds();

    let index = registry.manifest("app", run.digest());
    assert_eq!(index, registry.manifest("app", "1"));
    let platforms: Vec<_> = index["manifests"].as_array().unwrap().iter().map(|image| &image["platform"]).collect();
    assert_eq!(platforms[0]["architecture"], "amd64");
    assert_eq!(platforms[1]["architecture"], "arm64");

    for (architecture, machine) in [("amd64", "10 e9f3fa41"), ("arm64", "10 a5e3dc8a")] {
        let (Some(mut skopeo), Some(mut umoci)) = (peer("skopeo"), peer("umoci")) else { return };
        let image = format!("{}:latest", work.path(architecture).display());
        let copied = skopeo
            .args(["--override-arch", architecture, "copy", "--quiet", "--src-tls-verify=false"])
            .args([format!("docker://{name}"), format!("oci:{image}")])
            .status();
        assert!(copied.unwrap().success());
        let bundle = work.path(format!("{architecture}-bundle"));
        assert!(umoci.args(["unpack", "--image", &image]).arg(&bundle).status().unwrap().success());
        assert_eq!(tree_report(&bundle.join("rootfs")), expected(machine));
    }
}

#[test]
fn a_stage_on_the_build_platform_runs_once_for_all() {
    let Some(work) = workspace() else { return };
    let run = work.build(&["--platform", &PLATFORMS.join(","), "-t", "app"]).succeeds();
    assert_eq!(run.outcomes("RUN mkdir"), [&Outcome::Ran]);
    assert_eq!(run.outcomes("greeting /srv/"), [&Outcome::Ran]);
}

#[test]
fn a_local_output_has_a_folder_for_each_platform() {
    let Some(work) = workspace() else { return };
    let out = work.path("out");
    work.build(&["--platform", &PLATFORMS.join(","), "-o", &format!("type=local,dest={}", out.display())]).succeeds();
    assert_eq!(work.read("out/linux_amd64/machine"), "for amd64\n");
    assert_eq!(work.read("out/linux_arm64/machine"), "for arm64\n");
}
