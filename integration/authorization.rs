//! Files and repositories that not everybody may have: their servers are shown secrets, and nobody else ever is.

use crate::harness::{GitServer, Web, Workspace, files_with};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::fs;
use std::path::Path;

const TOKEN: &str = "correct-horse-battery-staple";

/// What each request for `path` had in its header `Authorization`.
fn shown(web: &Web, path: &str) -> Vec<Option<String>> {
    let asked = web.requests().into_iter().filter(|asked| asked.path.starts_with(path));
    asked.map(|mut asked| asked.headers.remove("authorization")).collect()
}

fn password() -> String {
    STANDARD.encode(format!("x-access-token:{TOKEN}"))
}

/// Looks for the token in all that was written and said.
#[track_caller]
fn is_nowhere(work: &Workspace, said: &str) {
    let spellings = [TOKEN.to_owned(), password()].map(String::into_bytes);
    assert_eq!(files_with(&work.path("store"), &spellings), Vec::<String>::new());
    assert!(!said.contains(TOKEN) && !said.contains(&password()), "{said}");
}

/// Serves a repository as mere files (`gitprotocol-http(5)`, "DUMB").
fn serve(web: &Web, path: &str, server: &GitServer, name: &str) {
    server.git(name, &["update-server-info"]);
    let root = server.folder(name).join(".git");
    serve_folder(web, path, &root, &root);
    web.file(&format!("{path}/info/refs?service=git-upload-pack"), &[], fs::read(root.join("info/refs")).unwrap());
}

fn serve_folder(web: &Web, path: &str, root: &Path, folder: &Path) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        if entry.file_type().unwrap().is_dir() {
            serve_folder(web, path, root, &entry.path());
        } else {
            let name = entry.path().strip_prefix(root).unwrap().display().to_string();
            web.file(&format!("{path}/{name}"), &[], fs::read(entry.path()).unwrap());
        }
    }
}

#[test]
fn the_server_of_a_file_is_shown_its_secret_and_where_it_redirects_is_not() {
    let (web, elsewhere) = (Web::start(), Web::start());
    web.file("/private", &[], "private\n");
    web.answer("/moved", 302, &[("Location", &elsewhere.url("/file"))], "");
    elsewhere.file("/file", &[], "moved\n");
    let work = Workspace::new(&format!("FROM scratch\nADD {} {} /\n", web.url("/private"), web.url("/moved")));
    let secret = ["--secret", "id=HTTP_AUTH_TOKEN_127.0.0.1,env=TOKEN"];
    let run = work.build(&secret).variable("TOKEN", TOKEN).succeeds();
    let bearer = Some(format!("Bearer {TOKEN}"));
    assert_eq!(shown(&web, "/private"), std::slice::from_ref(&bearer));
    assert_eq!(shown(&web, "/moved"), [bearer]);
    assert_eq!(shown(&elsewhere, "/file"), [None]);
    is_nowhere(&work, &run.raw);

    // The other kind of secret, and a server that does not take it.
    web.answer("/private", 403, &[], "");
    let header = ["--secret", "id=HTTP_AUTH_HEADER_127.0.0.1,env=TOKEN"];
    let run = work.build(&header).variable("TOKEN", format!("Basic {TOKEN}")).exits_with(1);
    assert_eq!(shown(&web, "/private").last().unwrap().as_deref(), Some(&*format!("Basic {TOKEN}")));
    is_nowhere(&work, &run.raw);
}

#[test]
fn a_file_that_is_the_context_is_fetched_with_its_secret() {
    let web = Web::start();
    web.file("/Dockerfile", &[], "FROM scratch\nCOPY <<E /a\nE\n");
    let work = Workspace::new("");
    let secret = work.path("secret").display().to_string();
    fs::write(&secret, format!("{TOKEN}\n")).unwrap();
    let given = format!("id=HTTP_AUTH_TOKEN_127.0.0.1,src={secret}");
    let run = work.flashbuild("build", &["--secret", &given, &web.url("/Dockerfile")]).succeeds();
    assert_eq!(shown(&web, "/Dockerfile"), [Some(format!("Bearer {TOKEN}"))]);
    is_nowhere(&work, &run.raw);
}

#[test]
fn the_server_of_a_repository_is_shown_its_secret() {
    let Some(server) = GitServer::start() else { return };
    server.commit("app", &[("Dockerfile", "FROM scratch\nCOPY . /\n"), ("README", "one\n")]);
    let web = Web::start();
    serve(&web, "/app.git", &server, "app");
    let host = web.url("").trim_start_matches("http://").to_owned();
    let secrets = |name: &str| {
        let ids =
            [format!("id=GIT_AUTH_TOKEN{name},env=TOKEN"), "id=GIT_AUTH_HEADER.other.example,env=NONE".to_owned()];
        ids.map(|id| ["--secret".to_owned(), id]).concat()
    };
    let with = |work: &Workspace, name: &str, context: &str| {
        let secrets = secrets(name);
        let arguments: Vec<&str> = secrets.iter().map(String::as_str).chain([context]).collect();
        work.flashbuild("build", &arguments).variable("TOKEN", TOKEN).variable("NONE", "none").succeeds()
    };
    let expected = Some(format!("Basic {}", password()));

    let work = Workspace::new(&format!("FROM scratch\nADD {} /src/\n", web.url("/app.git#main")));
    let run = with(&work, &format!(".{host}"), ".");
    let asked = shown(&web, "/app.git");
    assert!(asked.len() > 3 && asked.iter().all(|shown| *shown == expected), "{asked:?}");
    is_nowhere(&work, &run.raw);

    let work = Workspace::new("");
    let run = with(&work, "", &web.url("/app.git#main"));
    let asked = &shown(&web, "/app.git")[asked.len()..];
    assert!(asked.len() > 3 && asked.iter().all(|shown| *shown == expected), "{asked:?}");
    is_nowhere(&work, &run.raw);
}
