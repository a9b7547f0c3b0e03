//! `RUN --mount`: what a step is shown, and that nothing of it stays.

use crate::harness::{BUSYBOX, Run, Workspace, native_platform};
use flashbuild::solver::event::{Hit, Outcome};

const BY_CONTENT: &Outcome = &Outcome::Cached(Hit::Content);

fn workspace(dockerfile: &str) -> Option<Workspace> {
    Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{dockerfile}"))
}

/// Builds, and writes the files of the image to `out`.
fn build(work: &Workspace, arguments: &[&str]) -> Run {
    let out = format!("type=local,dest={}", work.path("out").display());
    work.build(&[&["-o", &out], arguments].concat()).succeeds()
}

#[test]
fn a_file_and_a_folder_of_the_context() {
    let Some(work) = workspace(
        "FROM busybox AS run\n\
         RUN --mount=target=/a/b --mount=source=sub/file,target=/etc/conf --mount=source=sub,target=/sub \
         ls /a/b > /result && cat /etc/conf /sub/deeper/file >> /result && \
         ! touch /sub/new && ! touch /etc/conf\n\
         FROM scratch\nCOPY --from=run /result /etc /out/\nCOPY --from=run / /all/\n",
    ) else {
        return;
    };
    work.file(".dockerignore", "secret\nbusybox*\n!busybox*.tar\n");
    work.file("secret", "hidden").file("sub/file", "file\n").file("sub/deeper/file", "deeper\n");
    build(&work, &[]);
    let result = work.read("out/out/result");
    assert!(!result.contains("secret") && result.contains("sub\n"), "{result}");
    assert!(result.ends_with("file\ndeeper\n"), "{result}");
    for stub in ["a", "sub", "etc/conf"] {
        assert!(!work.path("out/all").join(stub).exists(), "{stub} is in a layer");
    }
}

#[test]
fn files_that_are_mounted_decide_whether_a_step_runs() {
    let Some(work) = workspace("FROM busybox\nRUN --mount=source=src,target=/src cat /src/a > /a\nRUN cat /a > /b\n")
    else {
        return;
    };
    work.file("src/a", "1\n");
    build(&work, &[]);
    work.file("elsewhere", "new");
    assert_eq!(build(&work, &[]).outcomes("RUN"), [&Outcome::Cached(Hit::Definition); 2]);
    work.file("src/a", "2\n");
    assert_eq!(build(&work, &[]).outcomes("RUN --mount"), [&Outcome::Ran]);
    assert_eq!(work.read("out/b"), "2\n");
    work.file("src/new", "");
    assert_eq!(build(&work, &[]).outcomes("RUN --mount"), [&Outcome::Ran]);
}

#[test]
fn only_the_part_of_a_stage_that_is_mounted_counts() {
    let Some(work) = workspace(
        "FROM busybox AS made\nCOPY input /input\nRUN mkdir /out && head -n 1 /input > /out/line && cat /input > /rest\n\
         FROM busybox\nRUN --mount=from=made,source=/out,target=/out cat /out/line > /result\n",
    ) else {
        return;
    };
    work.file("input", "one\ntwo\n");
    build(&work, &[]);
    work.file("input", "one\nthree\n");
    let run = build(&work, &[]);
    assert_eq!(run.outcomes("RUN mkdir"), [&Outcome::Ran]);
    assert_eq!(run.outcomes("RUN --mount"), [BY_CONTENT]);
    assert_eq!(work.read("out/result"), "one\n");
}

#[test]
fn what_is_written_to_a_bind_mount_is_forgotten() {
    let Some(work) = workspace(
        "FROM busybox AS tools\nRUN mkdir /tools && echo tool > /tools/file\n\
         FROM busybox\nRUN --mount=from=tools,source=/tools,target=/t,rw echo mine > /t/file && cat /t/file > /1\n\
         RUN --mount=from=tools,source=/tools,target=/t,readwrite=true ls /t > /2 && cat /t/file >> /2\n\
         RUN [ ! -e /t ]\n",
    ) else {
        return;
    };
    build(&work, &[]);
    assert_eq!(work.read("out/1"), "mine\n");
    assert_eq!(work.read("out/2"), "file\ntool\n");
}

#[test]
fn an_empty_folder_can_be_mounted() {
    let Some(work) = workspace("FROM busybox\nRUN --mount=source=empty,target=/e [ -d /e ] && ls /e > /n\n") else {
        return;
    };
    std::fs::create_dir(work.path("context/empty")).unwrap();
    build(&work, &[]);
    assert_eq!(work.read("out/n"), "");
}

#[test]
fn a_mount_inside_a_mount_is_seen_whatever_their_order() {
    let Some(work) = workspace(
        "FROM busybox\nRUN --mount=type=tmpfs,target=/a/b --mount=type=cache,target=/a \
         touch /a/b/x && [ -d /a/b ] && echo /a/* > /n\n",
    ) else {
        return;
    };
    build(&work, &[]);
    assert_eq!(work.read("out/n"), "/a/b\n");
}

#[test]
fn a_tmpfs_is_empty_limited_and_forgotten() {
    let Some(work) = workspace(
        "FROM busybox\nRUN mkdir /t && touch /t/mine\n\
         RUN --mount=type=tmpfs,target=/t,size=1m ls /t > /n && ! dd if=/dev/zero of=/t/x bs=1M count=2\n\
         RUN ls /t >> /n\n",
    ) else {
        return;
    };
    build(&work, &[]);
    assert_eq!(work.read("out/n"), "mine\n");
}

#[test]
fn a_cache_outlives_steps_and_builds_and_is_in_no_layer() {
    let Some(work) = workspace(
        "FROM busybox\nARG N\n\
         RUN --mount=type=cache,target=/c,mode=0750,uid=7,gid=8 echo $N >> /c/log && cat /c/log > /log && stat -c %a:%u:%g /c >> /log\n\
         RUN --mount=type=cache,id=/c,target=/d,ro cat /d/log > /again && ! touch /d/x\n\
         RUN --mount=type=cache,id=/c,source=sub/dir,target=/s touch /s/made\n\
         RUN --mount=type=cache,id=/c,target=/d ls /d/sub/dir > /sub\n\
         RUN --mount=type=cache,id=other,target=/c ls /c > /other\n",
    ) else {
        return;
    };
    build(&work, &["--build-arg", "N=1"]);
    build(&work, &["--build-arg", "N=2"]);
    assert_eq!(work.read("out/log"), "1\n2\n750:7:8\n");
    assert_eq!(work.read("out/again"), "1\n2\n");
    assert_eq!(work.read("out/sub"), "made\n");
    assert_eq!(work.read("out/other"), "");
    for stub in ["c", "d", "s"] {
        assert!(!work.path("out").join(stub).exists(), "{stub} is in a layer");
    }
}

#[test]
fn a_cache_begins_with_files_of_a_stage() {
    let Some(work) = workspace(
        "FROM busybox AS seed\nRUN mkdir -p /mod/sub && echo 1 > /mod/sub/file && ln -s sub/file /mod/link && chown 5:6 /mod/sub\n\
         FROM busybox\nARG N\n\
         RUN --mount=type=cache,target=/c,from=seed,source=/mod \
         cat /c/link > /log && stat -c %u:%g /c/sub >> /log && echo more >> /c/sub/file\n",
    ) else {
        return;
    };
    build(&work, &["--build-arg", "N=1"]);
    assert_eq!(work.read("out/log"), "1\n5:6\n");
    build(&work, &["--build-arg", "N=2"]);
    assert_eq!(work.read("out/log"), "1\nmore\n5:6\n");
}

#[test]
fn namespaces_of_caches_are_apart() {
    let Some(work) =
        workspace("FROM busybox\nARG N\nRUN --mount=type=cache,target=/c echo $N >> /c/log && cat /c/log > /log\n")
    else {
        return;
    };
    build(&work, &["--build-arg", "N=1"]);
    build(&work, &["--build-arg", "N=2", "--build-arg", "BUILDKIT_CACHE_MOUNT_NS=team"]);
    assert_eq!(work.read("out/log"), "2\n");
}

#[test]
fn a_mount_point_that_became_a_link_removes_nothing_outside() {
    let Some(work) =
        workspace("FROM busybox\nARG OUT\nRUN --mount=type=tmpfs,target=/a/b/c mv /a /moved && ln -s $OUT /a\n")
    else {
        return;
    };
    std::fs::create_dir_all(work.path("outside/b/c")).unwrap();
    build(&work, &["--build-arg", &format!("OUT={}", work.path("outside").display())]);
    assert!(work.path("outside/b/c").exists());
    assert!(work.path("out/a").is_symlink());
}

/// Two processes build with one cache, in steps that run `script` with their name in `$N`. What each wrote to `/seen`.
fn two_at_once(sharing: &str, script: &str) -> Option<[String; 2]> {
    let work = workspace(&format!(
        "FROM busybox\nARG N\n\
         RUN --mount=type=cache,target=/c,sharing={sharing} --mount=type=cache,target=/meet {script}\n"
    ))?;
    // The base is in the store before they start, so that they meet in the step.
    work.build(&["--target", "busybox"]).succeeds();
    let build = |name: &'static str| {
        let out = format!("type=local,dest={}", work.path(name).display());
        work.build(&["-o", &out, "--build-arg", &format!("N={name}")]).succeeds();
        work.read(&format!("{name}/seen"))
    };
    Some(std::thread::scope(|scope| {
        let build = &build;
        let builds = ["one", "two"].map(|name| scope.spawn(move || build(name)));
        builds.map(|build| build.join().unwrap())
    }))
}

/// Waits until both are there, but not for ever.
const MEET: &str = "touch /meet/$N /c/$N && \
                    for i in $(seq 300); do [ -e /meet/one ] && [ -e /meet/two ] && break; sleep 0.1; done && \
                    echo $(ls /meet): $(ls /c) > /seen";

#[test]
fn a_locked_cache_is_for_one_process_at_a_time() {
    let alone = "touch /c/$N && sleep 1 && echo $(ls /c) > /seen && rm /c/$N";
    let Some(seen) = two_at_once("locked", alone) else { return };
    assert_eq!(seen, ["one\n", "two\n"]);
}

#[test]
fn a_private_cache_is_for_one_process_and_nobody_waits() {
    let Some(seen) = two_at_once("private", MEET) else { return };
    assert_eq!(seen, ["one two: one\n", "one two: two\n"]);
}

#[test]
fn a_shared_cache_is_for_all() {
    let Some(seen) = two_at_once("shared", MEET) else { return };
    assert_eq!(seen, ["one two: one two\n"; 2]);
}
