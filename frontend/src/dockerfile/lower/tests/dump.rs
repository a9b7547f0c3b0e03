//! A graph as text: nodes, then outputs.

use super::asked::Lowered;
use crate::graph::{
    CopyAction, CopySource, ExecOp, FileAction, FileOp, GitOp, Graph, HttpOp, Id, MakeDir, MakeFile, Mode, Network,
    Node, Op, Output, Owner, Security,
};
use crate::package::{Package, PackageOp};
use std::fmt::Write as _;

pub(super) fn dump(lowered: &Lowered) -> String {
    let Lowered { graph, questions } = lowered;
    let mut text = String::new();
    for question in questions {
        writeln!(text, "? {question}").unwrap();
    }
    if let Some(epoch) = graph.epoch {
        writeln!(text, "epoch {epoch}").unwrap();
    }
    for (id, node) in graph.nodes() {
        writeln!(text, "{} {}", id.index(), head(graph, node)).unwrap();
        for line in details(&node.op) {
            writeln!(text, "    {line}").unwrap();
        }
    }
    for output in &graph.outputs {
        describe_output(&mut text, output);
    }
    text
}

fn head(graph: &Graph, node: &Node) -> String {
    let kind = match &node.op {
        Op::Image(image) => format!("image {}@{}", image.reference, &image.digest[..11]),
        Op::Local(local) => format!("local {}", local.name),
        Op::Http(http) => format!("http {}", http.url),
        Op::Git(git) => format!("git {}", git.remote),
        Op::Exec(_) => "exec".to_owned(),
        Op::File(_) => "file".to_owned(),
        Op::Merge => "merge".to_owned(),
        Op::Package(_) => "package".to_owned(),
    };
    let mut text = kind;
    for input in &node.inputs {
        write!(text, " <{}", input.index()).unwrap();
    }
    if let Some(platform) = &node.platform {
        write!(text, " on {platform}").unwrap();
    }
    if graph.outputs.len() > 1 {
        let targets: Vec<String> = node.targets.iter().map(ToString::to_string).collect();
        write!(text, " for {}", targets.join(",")).unwrap();
    }
    write!(text, " \"{}\"", node.name).unwrap();
    text
}

fn details(op: &Op) -> Vec<String> {
    match op {
        Op::Image(_) | Op::Merge => Vec::new(),
        Op::Package(package) => package_details(package),
        Op::Local(local) if local.exclude.is_empty() => Vec::new(),
        Op::Local(local) => vec![format!("exclude {:?}", local.exclude)],
        Op::Http(HttpOp { url: _, name, checksum }) => {
            let checksum = checksum.as_ref().map(|checksum| format!(" checked against {checksum}"));
            vec![format!("named {name}{}", checksum.unwrap_or_default())]
        }
        Op::Git(GitOp { remote: _, reference, checksum, keep_git_dir, submodules, fetch_by_commit }) => {
            let said = |name: &str, on: bool| if on { format!(" {name}") } else { String::new() };
            vec![format!(
                "at {reference:?} checked against {checksum:?}{}{}{}",
                said("keeping .git", *keep_git_dir),
                said("with submodules", *submodules),
                said("by commit", *fetch_by_commit)
            )]
        }
        Op::Exec(exec) => exec_details(exec),
        Op::File(FileOp { actions }) => actions.iter().map(action).collect(),
    }
}

fn package_details(op: &PackageOp) -> Vec<String> {
    let files = op.files.iter().map(|file| format!("{} {:o} {:?}", file.path, file.mode, file.content));
    let packages = op.packages.iter().map(|package| {
        let Package { name, version, artifact, layout, part } = package;
        let part = part.map(|part| format!(" part {} of {}", part.number, part.of)).unwrap_or_default();
        format!("{name} {version} {}… {layout:?}{part}", &artifact.to_string()[..15])
    });
    packages.chain(files).collect()
}

fn exec_details(exec: &ExecOp) -> Vec<String> {
    let ExecOp { args, env, cwd, user, hostname, network, security, devices, mounts, files, needs, epoch } = exec;
    let mut lines = vec![format!("args {args:?}"), format!("env {env:?}")];
    let mut place = format!("in {cwd}");
    if !user.is_empty() {
        write!(place, " as {user}").unwrap();
    }
    if let Some(hostname) = hostname {
        write!(place, " at {hostname}").unwrap();
    }
    match network {
        Network::Default => {}
        Network::None => place.push_str(" without network"),
        Network::Host => place.push_str(" on the host's network"),
    }
    lines.push(place);
    if *security == Security::Insecure {
        lines.push("insecure".to_owned());
    }
    for device in devices {
        lines.push(format!("device {}{}", device.name, if device.required { ", required" } else { "" }));
    }
    for mount in mounts {
        lines.push(format!("mount {mount:?}"));
    }
    for file in files {
        lines.push(format!("file {} {:o} {:?}", file.path, file.mode, file.content));
    }
    for needed in needs {
        lines.push(format!("needs {} or else {:?}", needed.name, needed.hint));
    }
    lines.extend(epoch.map(|epoch| format!("not after {epoch}")));
    lines
}

fn action(action: &FileAction) -> String {
    match action {
        FileAction::Copy(CopyAction { from, sources, exclude, dest, into_dir, owner, mode, unpack }) => {
            let sources: Vec<String> = sources.iter().map(source).collect();
            let exclude = if exclude.is_empty() { String::new() } else { format!(" without {exclude:?}") };
            let into = if *into_dir { "into" } else { "to" };
            let unpack = if *unpack { " unpacking" } else { "" };
            format!(
                "copy {sources:?}{exclude} of input {from} {into} {dest}{}{}{unpack}",
                owned(owner.as_ref()),
                moded(mode.as_ref())
            )
        }
        FileAction::MakeDir(MakeDir { path, mode, owner }) => {
            format!("mkdir {path} {mode:o}{}", owned(owner.as_ref()))
        }
        FileAction::MakeFile(MakeFile { path, name, content, mode, owner }) => {
            format!("mkfile {path} named {name} {content:?}{}{}", owned(owner.as_ref()), moded(mode.as_ref()))
        }
    }
}

fn source(source: &CopySource) -> String {
    match source {
        CopySource::Flat(path) => path.clone(),
        CopySource::WithParents { pivot, below } => format!("{}/./{below}", pivot.trim_end_matches('/')),
    }
}

fn owned(owner: Option<&Owner>) -> String {
    let id = |id: &Id| match id {
        Id::Number(number) => number.to_string(),
        Id::Name(name) => format!("{name:?}"),
    };
    owner.map_or_else(String::new, |Owner { user, group, names_in }| {
        let group = group.as_ref().map_or_else(String::new, |group| format!(":{}", id(group)));
        format!(" owner {}{group} (names in input {names_in})", id(user))
    })
}

fn moded(mode: Option<&Mode>) -> String {
    match mode {
        None => String::new(),
        Some(Mode::Octal(bits)) => format!(" mode {bits:o}"),
        Some(Mode::Symbolic(changes)) => format!(" mode {changes}"),
    }
}

fn describe_output(text: &mut String, output: &Output) {
    writeln!(text, "output {} = {}", output.platform, output.root.index()).unwrap();
    let config = serde_json::to_string(&output.config).unwrap();
    writeln!(text, "    config {config}").unwrap();
    for step in &output.steps {
        let mark = if step.layer { '+' } else { '-' };
        writeln!(text, "    {mark} {}", step.created_by.replace('\n', "\\n")).unwrap();
    }
}
