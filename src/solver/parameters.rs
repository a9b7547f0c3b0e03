//! What an operation says, as names and values that people know from their Dockerfile.

use super::recipe::Parameter;
use flashbuild_frontend::{
    graph::{CopyAction, CopySource, ExecOp, FileAction, FileOp, MakeDir, MakeFile, Mount, Op, Owner},
    package::PackageOp,
    secret_name,
};
use serde::Serialize;

/// All parameters of an operation but its inputs. Every field that is in a key is in one of them.
pub(super) fn of(op: &Op) -> Vec<Parameter> {
    match op {
        Op::Exec(exec) => of_exec(exec),
        Op::File(file) => of_file(file),
        Op::Package(package) => of_package(package),
        Op::Http(http) => vec![Parameter::new("address", http.shown())],
        Op::Git(git) => vec![Parameter::new("repository", git.shown())],
        // An image's are its base; which files of a context count is seen in the files themselves.
        Op::Image(_) | Op::Local(_) | Op::Merge => Vec::new(),
    }
}

fn of_exec(op: &ExecOp) -> Vec<Parameter> {
    let ExecOp { args, env, cwd, user, hostname, network, security, devices, mounts, files, needs, epoch } = op;
    let command = match args.as_slice() {
        [shell, flag, script] if shell.ends_with("/sh") && flag == "-c" => script.clone(),
        _ => args.join(" "),
    };
    let mut parameters = vec![Parameter::new("command", command)];
    // Of a shell form, the shell itself.
    parameters.push(Parameter::new("program", args.first().map_or("", String::as_str)));
    parameters.extend(env.iter().map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if secret_name::sounds_secret(name) { Parameter::hidden(name, value) } else { Parameter::new(name, value) }
    }));
    parameters.push(Parameter::new("working directory", cwd));
    parameters.push(Parameter::new("user", user));
    parameters.push(Parameter::new("host name", hostname.as_deref().unwrap_or_default()));
    parameters.push(Parameter::new("network", plain(network)));
    parameters.push(Parameter::new("security", plain(security)));
    parameters.extend(devices.iter().map(|device| Parameter::new(format!("device {}", device.name), plain(device))));
    parameters.extend(mounts.iter().map(|mount| Parameter::new(format!("mount {}", target(mount)), plain(mount))));
    parameters.extend(files.iter().map(|file| {
        let value = format!("{:o} {}", file.mode, file.content);
        Parameter::new(format!("script {}", file.path), value)
    }));
    parameters.extend(needs.iter().map(|needed| Parameter::new(format!("needs {}", needed.name), &needed.hint)));
    parameters.extend(epoch.map(|epoch| Parameter::new("latest time", epoch.to_string())));
    parameters
}

fn target(mount: &Mount) -> &str {
    match mount {
        Mount::Bind(bind) => &bind.target,
        Mount::Cache(cache) => &cache.target,
        Mount::Tmpfs(tmpfs) => &tmpfs.target,
        Mount::Secret(secret) => secret.target.as_deref().or(secret.env.as_deref()).unwrap_or(&secret.id),
        Mount::Ssh(ssh) => &ssh.target,
    }
}

fn of_file(op: &FileOp) -> Vec<Parameter> {
    let mut parameters = Vec::new();
    for (number, action) in op.actions.iter().enumerate() {
        let mut add = |name: &str, value: String| {
            let name = if op.actions.len() == 1 { name.to_owned() } else { format!("{name} ({})", number + 1) };
            parameters.push(Parameter::new(name, value));
        };
        match action {
            FileAction::Copy(CopyAction { from, sources, exclude, dest, into_dir, owner, mode, unpack }) => {
                add("sources", sources.iter().map(source).collect::<Vec<_>>().join(" "));
                add("destination", dest.clone());
                add("input", from.to_string());
                add("--exclude", exclude.join(" "));
                add("--chown", owned(owner.as_ref()));
                add("--chmod", mode.as_ref().map(plain).unwrap_or_default());
                add("--unpack", unpack.to_string());
                add("into a folder", into_dir.to_string());
            }
            FileAction::MakeDir(MakeDir { path, mode, owner }) => {
                add("folder", path.clone());
                add("permissions", format!("{mode:o}"));
                add("--chown", owned(owner.as_ref()));
            }
            FileAction::MakeFile(MakeFile { path, name, content, mode, owner }) => {
                add("file", format!("{path} {name}"));
                add("content", content.clone());
                add("--chmod", mode.as_ref().map(plain).unwrap_or_default());
                add("--chown", owned(owner.as_ref()));
            }
        }
    }
    parameters
}

fn source(source: &CopySource) -> String {
    match source {
        CopySource::Flat(path) => path.clone(),
        CopySource::WithParents { pivot, below } => format!("{}/./{below}", pivot.trim_end_matches('/')),
    }
}

fn owned(owner: Option<&Owner>) -> String {
    owner.map(plain).unwrap_or_default()
}

fn of_package(op: &PackageOp) -> Vec<Parameter> {
    let packages = op.packages.iter().map(|package| {
        // The hash is seen in the digest of the value.
        let whole = plain(package);
        Parameter { digest: Parameter::new("", whole).digest, ..Parameter::new(&package.name, &package.version) }
    });
    let files = op.files.iter().map(|file| Parameter::new(format!("file {}", file.path), plain(file)));
    packages.chain(files).collect()
}

/// Plain data as text.
fn plain(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("an operation is plain data").trim_matches('"').to_owned()
}
