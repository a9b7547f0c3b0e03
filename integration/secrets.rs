//! `RUN --mount=type=secret` and `type=ssh`: a step has them, and nobody else ever does.

use crate::harness::{BUSYBOX, Workspace, files_with, native_platform, peer};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flashbuild::solver::event::{Hit, Outcome};
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

const VALUE: &str = "correct/horse+battery staple";

fn workspace(dockerfile: &str) -> Option<Workspace> {
    let work = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{dockerfile}"))?;
    fs::write(work.path("secret"), format!("{VALUE}\n")).unwrap();
    Some(work)
}

/// The ways in which the value could have been written down.
fn spellings() -> Vec<Vec<u8>> {
    let percent: String = VALUE.bytes().flat_map(|byte| format!("%{byte:02X}").into_bytes()).map(char::from).collect();
    let escaped = VALUE.replace('/', "%2F").replace('+', "%2B").replace(' ', "%20");
    let encoded = STANDARD.encode(VALUE);
    [VALUE.to_owned(), percent, escaped, encoded.trim_end_matches('=')[..30].to_owned()]
        .map(String::into_bytes)
        .to_vec()
}

/// Files below `path` that hold the value.
fn leaks(path: &Path) -> Vec<String> {
    files_with(path, &spellings())
}

#[test]
fn a_secret_is_a_file_or_a_variable_of_one_step() {
    let Some(work) = workspace(
        "FROM busybox\nENV OWN=mine\n\
         RUN --mount=type=secret,id=token cat /run/secrets/token | sha256sum > /file && \
         stat -c %a:%u:%g /run/secrets/token >> /file && ! touch /run/secrets/token\n\
         RUN --mount=type=secret,id=token,env=OWN,required printf '%s' \"$OWN\" | sha256sum > /env && [ ! -e /run/secrets ]\n\
         RUN --mount=type=secret,id=token,target=/etc/key,mode=0440,uid=1234,gid=1234 stat -c %a:%u:%g /etc/key > /own\n\
         RUN --mount=type=secret,id=absent [ ! -e /run ] && echo $OWN > /none\n\
         RUN [ ! -e /etc/key ] && [ ! -e /run/secrets ]\n",
    ) else {
        return;
    };
    let out = format!("type=local,dest={}", work.path("out").display());
    work.build(&["--secret", "id=token,src=../secret", "-o", &out]).succeeds();
    let with_line_feed = sha256(format!("{VALUE}\n").as_bytes());
    assert_eq!(work.read("out/file"), format!("{with_line_feed}  -\n400:0:0\n"));
    assert_eq!(work.read("out/env"), format!("{with_line_feed}  -\n"));
    assert_eq!(work.read("out/own"), "440:1234:1234\n");
    assert_eq!(work.read("out/none"), "mine\n");
    for stub in ["run/secrets", "etc/key"] {
        assert!(!work.path("out").join(stub).exists(), "{stub} is in a layer");
    }
}

fn sha256(bytes: &[u8]) -> String {
    flashbuild::image::Digest::of(bytes).hex()
}

#[test]
fn no_spelling_of_a_secret_is_anywhere_afterwards() {
    let Some(work) = workspace(
        "FROM busybox\n\
         RUN --mount=type=secret,id=token --mount=type=secret,id=other,env=OTHER --mount=type=secret,id=said,target=/s \
         cat /run/secrets/token; echo \"in a line: $OTHER!\" >&2; cat /s; true\n\
         RUN --mount=type=secret,id=token cat /run/secrets/token; exit 3\n",
    ) else {
        return;
    };
    let out = format!("type=oci,dest={},tar=false", work.path("out").display());
    let secrets = ["--secret", "id=token,src=../secret", "--secret", "id=other,env=TOKEN", "--secret"];
    let said = format!("id=said,cmd=printf '{VALUE}'");
    let run =
        work.build(&[&secrets[..], &[&said, "-o", &out, "-t", "app"]].concat()).variable("TOKEN", VALUE).exits_with(1);
    assert!(run.raw.contains("in a line: ***!"), "{}", run.raw);
    fs::remove_file(work.path("secret")).unwrap();
    fs::write(work.path("home/said"), format!("{}{}", run.raw, run.stdout)).unwrap();
    assert_eq!(leaks(&work.path("")), [""; 0]);
}

#[test]
fn the_search_for_leaks_finds_them() {
    let folder = tempfile::tempdir().unwrap();
    for (number, spelling) in spellings().into_iter().enumerate() {
        fs::write(folder.path().join(number.to_string()), [b"x", &spelling[..], b"y"].concat()).unwrap();
    }
    assert_eq!(leaks(folder.path()).len(), 4);
}

#[test]
fn a_killed_build_leaves_no_secret() {
    let Some(work) = workspace(
        "FROM busybox\nRUN --mount=type=secret,id=token --mount=type=cache,target=/c \
         cat /run/secrets/token > /dev/null && touch /c/ready && sleep 60\n",
    ) else {
        return;
    };
    let mut build = work.build(&["--secret", "id=token,src=../secret"]).spawn();
    let caches = work.path("store/cache-mounts");
    let ready =
        || fs::read_dir(&caches).into_iter().flatten().flatten().any(|one| one.path().join("data/ready").exists());
    for _ in 0..600 {
        if ready() {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert!(ready(), "the step did not start");
    build.kill().unwrap();
    build.wait().unwrap();
    fs::remove_file(work.path("secret")).unwrap();
    assert_eq!(leaks(&work.path("")), [""; 0]);
}

#[test]
fn another_value_is_no_reason_to_run() {
    let Some(work) = workspace("FROM busybox\nRUN --mount=type=secret,id=token cat /run/secrets/token > /dev/null\n")
    else {
        return;
    };
    let build = || work.build(&["--secret", "id=token,src=../secret"]).succeeds();
    build();
    fs::write(work.path("secret"), "another value").unwrap();
    assert_eq!(build().outcomes("RUN"), [&Outcome::Cached(Hit::Definition)]);
}

#[test]
fn what_is_required_and_not_given_is_asked_for() {
    for (mount, said) in [
        ("secret,id=token,required", "the step needs the secret \"token\": give it with --secret id=token,src=FILE"),
        ("ssh,id=deploy,required", "the step needs the SSH agent \"deploy\": give it with --ssh deploy"),
    ] {
        let Some(work) = workspace(&format!("FROM busybox\nRUN --mount=type={mount} true\n")) else { return };
        let run = work.build(&[]).exits_with(1);
        assert!(run.stderr.contains(said), "{}", run.stderr);
    }
    let Some(work) = workspace("FROM busybox\n") else { return };
    let run = work.build(&["--secret", "id=token,src=nowhere"]).exits_with(2);
    assert!(run.stderr.contains("cannot read nowhere: No such file"), "{}", run.stderr);
    let run = work.build(&["--ssh", "default"]).exits_with(2);
    assert!(run.stderr.contains("there is no SSH_AUTH_SOCK"), "{}", run.stderr);
}

/// An agent with one key, ended with the value.
struct Agent(Child, tempfile::TempDir);

impl Agent {
    fn start(key: &Path) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("agent");
        let agent = peer("ssh-agent")?.args(["-D", "-a"]).arg(&socket).stdout(Stdio::null()).spawn().unwrap();
        let agent = Self(agent, folder);
        while !socket.exists() {
            thread::sleep(Duration::from_millis(10));
        }
        let added = peer("ssh-add")?.arg("-q").arg(key).env("SSH_AUTH_SOCK", &socket).status().unwrap();
        assert!(added.success());
        Some(agent)
    }

    fn socket(&self) -> String {
        self.1.path().join("agent").display().to_string()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn make_key(path: &Path) -> Option<String> {
    let made =
        peer("ssh-keygen")?.args(["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f"]).arg(path).status().unwrap();
    assert!(made.success());
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    let public = fs::read_to_string(path.with_extension("pub")).unwrap();
    Some(public.split_whitespace().nth(1).unwrap().to_owned())
}

#[test]
fn agents_and_keys_reach_the_step_that_asks_for_them() {
    let Some(work) = workspace(
        "FROM busybox AS tools\nCOPY root /\nENV PATH=/bin:/usr/bin\n\
         FROM tools\n\
         RUN --mount=type=ssh --mount=type=ssh,id=deploy,target=/deploy,mode=0666 \
         ssh-add -L > /keys && echo >> /keys && SSH_AUTH_SOCK=/deploy ssh-add -L >> /keys && \
         echo $SSH_AUTH_SOCK >> /keys && ! ssh-add -D && ssh-add -L >> /keys\n\
         USER app\nRUN --mount=type=ssh,id=deploy,uid=1234 ssh-add -l > /tmp/app\n\
         RUN --mount=type=ssh,id=absent [ -z \"$SSH_AUTH_SOCK\" ] && [ ! -e /deploy ]\n",
    ) else {
        return;
    };
    let (Some(()), Some(of_agent)) = (work.bring("ssh-add"), make_key(&work.path("home/agent"))) else { return };
    let of_file = make_key(&work.path("home/deploy")).unwrap();
    let Some(agent) = Agent::start(&work.path("home/agent")) else { return };
    let out = format!("type=local,dest={}", work.path("out").display());
    let key = format!("deploy={}", work.path("home/deploy").display());
    work.build(&["--ssh", "default", "--ssh", &key, "-o", &out]).variable("SSH_AUTH_SOCK", agent.socket()).succeeds();
    let keys = work.read("out/keys");
    let lines: Vec<&str> = keys.lines().collect();
    assert!(lines[0].contains(&of_agent) && lines[2].contains(&of_file), "{keys}");
    assert_eq!(lines[3], "/run/buildkit/ssh_agent.0");
    assert!(lines[4].contains(&of_agent), "a step took a key from the agent: {keys}");
    assert!(work.read("out/tmp/app").contains("ED25519"));
    assert!(!work.path("out/run/buildkit").exists() && !work.path("out/deploy").exists());
}
