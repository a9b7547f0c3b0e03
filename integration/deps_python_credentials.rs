//! Credentials for indexes of Python packages: from where the tools take them, to the index, and into nothing else.

use crate::{
    deps_python::{sha256, wheel},
    harness::{Invocation, Web, Workspace, files_with},
};
use base64::Engine as _;
use std::{env, fs, os::unix::fs::PermissionsExt as _};

const USER: &str = "ann";
/// With everything that could be misread in an address or by a shell.
const PASSWORD: &str = "very%41secret$(id)@:/";

/// An index that lets nobody in but [`USER`], and a project that needs one package of it.
fn project() -> (Web, Workspace) {
    let web = Web::start();
    let bytes = wheel("pure", "1.0", "of the index");
    let file = "pure-1.0-py3-none-any.whl";
    let page = format!("<a href=\"/files/{file}#sha256={}\">{file}</a>", sha256(&bytes));
    let work = Workspace::new("FROM scratch\nDEPS python --python=/usr/bin/python3.11 requirements.txt\n");
    work.file("requirements.txt", format!("pure==1.0 --hash=sha256:{}\n", sha256(&bytes)));
    web.file("/simple/pure/", &[("Content-Type", "text/html")], page).file(&format!("/files/{file}"), &[], bytes);
    let login = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    web.wants(&format!("Basic {login}"));
    (web, work)
}

/// `http://user@…/simple/`.
fn index(web: &Web, user: &str) -> String {
    web.url("/simple/").replace("http://", &format!("http://{user}"))
}

/// Puts a program `keyring` on the path that has the password for this service, and notes what it was asked.
fn with_keyring<'a>(work: &Workspace, service: &str, invocation: Invocation<'a>) -> Invocation<'a> {
    let folder = work.path("bin");
    fs::create_dir_all(&folder).unwrap();
    let program = folder.join("keyring");
    let asked = work.path("asked");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$*\" >> '{}'\necho '{PASSWORD} is not for logs' >&2\n[ \"$*\" = 'get {service} {USER}' ] || exit 1\necho '{PASSWORD}'\n",
        asked.display()
    );
    fs::write(&program, script).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let path = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([folder].into_iter().chain(env::split_paths(&path))).unwrap();
    invocation.variable("PATH", path.into_string().unwrap())
}

fn asked(work: &Workspace) -> Vec<String> {
    fs::read_to_string(work.path("asked")).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// Builds, and looks for the password everywhere.
#[track_caller]
fn check_let_in(web: &Web, work: &Workspace, invocation: &Invocation<'_>) {
    let run = invocation.succeeds();
    assert!(web.requests().iter().any(|asked| asked.path.starts_with("/files/") && asked.status == 200));
    let login = web.requests().last().unwrap().headers["authorization"].replace("Basic ", "");
    let secrets = [PASSWORD.to_owned(), PASSWORD.replace('%', "%25"), login];
    for secret in &secrets {
        assert!(!format!("{run:?}").contains(secret), "{run:?}");
    }
    let secrets: Vec<Vec<u8>> = secrets.into_iter().map(String::into_bytes).collect();
    for folder in ["store", "image"] {
        assert!(work.path(folder).is_dir());
        assert_eq!(files_with(&work.path(folder), &secrets), Vec::<String>::new());
    }
}

fn build(work: &Workspace) -> Invocation<'_> {
    work.build(&["-o", "type=oci,dest=../image,tar=false"])
}

#[test]
fn netrc_lets_in() {
    let (web, work) = project();
    fs::write(work.path("home/.netrc"), format!("machine 127.0.0.1 login {USER} password {PASSWORD}\n")).unwrap();
    check_let_in(&web, &work, &build(&work).variable("PIP_INDEX_URL", index(&web, "")));
}

#[test]
fn without_credentials_nobody_is_let_in() {
    let (web, work) = project();
    let refused = build(&work).variable("PIP_INDEX_URL", index(&web, "")).exits_with(1);
    assert!(refused.stderr.contains("the server answers 401"), "{}", refused.stderr);
}

#[test]
fn variables_for_the_name_of_an_index_let_in() {
    let (web, work) = project();
    let named = build(&work)
        .variable("UV_DEFAULT_INDEX", format!("my-own={}", index(&web, "")))
        .variable("UV_INDEX_MY_OWN_USERNAME", USER)
        .variable("UV_INDEX_MY_OWN_PASSWORD", PASSWORD);
    check_let_in(&web, &work, &named);
}

#[test]
fn variables_for_an_index_that_the_project_names_let_in() {
    let (web, work) = project();
    let wheel = wheel("pure", "1.0", "of the index");
    let url = web.url("/files/pure-1.0-py3-none-any.whl");
    work.file("Dockerfile", "FROM scratch\nDEPS python --python=/usr/bin/python3.11 uv.lock\n");
    work.file("pyproject.toml", format!("[[tool.uv.index]]\nname = \"my-own\"\nurl = {:?}\n", index(&web, "")));
    work.file(
        "uv.lock",
        format!(
            "version = 1\n[[package]]\nname = \"app\"\nsource = {{ virtual = \".\" }}\ndependencies = [{{ name = \"pure\" }}]\n\
             [[package]]\nname = \"pure\"\nversion = \"1.0\"\nsource = {{ registry = {:?} }}\n\
             wheels = [{{ url = {url:?}, hash = \"sha256:{}\" }}]\n",
            index(&web, ""),
            sha256(&wheel)
        ),
    );
    let named =
        || build(&work).variable("UV_INDEX_MY_OWN_USERNAME", USER).variable("UV_INDEX_MY_OWN_PASSWORD", PASSWORD);
    // The file does not open this machine's network.
    let refused = named().exits_with(1);
    assert!(refused.stderr.contains("it leads into a private network"), "{}", refused.stderr);
    assert_eq!(web.requests().len(), 0);
    // Who builds does, for this server.
    check_let_in(&web, &work, &named().variable("PIP_INDEX_URL", index(&web, "")));
}

#[test]
fn a_keyring_that_pip_is_told_to_ask_lets_in() {
    let (web, work) = project();
    fs::create_dir_all(work.path("home/.config/pip")).unwrap();
    let config = format!("[global]\nindex-url = {}\nkeyring-provider = subprocess\n", index(&web, "ann@"));
    fs::write(work.path("home/.config/pip/pip.conf"), config).unwrap();
    let service = index(&web, "");
    check_let_in(&web, &work, &with_keyring(&work, &service, build(&work)));
    // For the page and for the wheel, it is asked once.
    assert_eq!(asked(&work), [format!("get {service} {USER}")]);

    // Who has everything needs no password.
    with_keyring(&work, &service, build(&work)).succeeds();
    assert_eq!(asked(&work).len(), 1);
}

#[test]
fn a_keyring_that_uv_is_told_to_ask_may_know_the_server_alone() {
    let (web, work) = project();
    let server = web.url("").replace("http://", "");
    let invocation =
        build(&work).variable("UV_DEFAULT_INDEX", index(&web, "ann@")).variable("UV_KEYRING_PROVIDER", "subprocess");
    check_let_in(&web, &work, &with_keyring(&work, &server, invocation));
    assert_eq!(asked(&work), [format!("get {} {USER}", index(&web, "")), format!("get {server} {USER}")]);
}

#[test]
fn a_keyring_that_nobody_turned_on_is_not_asked() {
    let (web, work) = project();
    for provider in ["", "disabled", "auto"] {
        let invocation = build(&work).variable("PIP_INDEX_URL", index(&web, "ann@"));
        let invocation = invocation.variable("PIP_KEYRING_PROVIDER", provider);
        let refused = with_keyring(&work, &index(&web, ""), invocation).exits_with(1);
        assert!(refused.stderr.contains("the server answers 401"), "{}", refused.stderr);
    }
    assert_eq!(asked(&work), Vec::<String>::new());
}
