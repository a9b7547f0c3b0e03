//! One run of the binary, from its arguments to what it said.

use super::events::{self, FinishedStep};
use super::{Workspace, peer};
use flashbuild::solver::{Reason, event::Outcome};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A command that is about to run in its [`Workspace`].
pub(crate) struct Invocation<'a> {
    work: &'a Workspace,
    command: String,
    arguments: Vec<String>,
    store: &'a str,
    variables: Vec<(&'a str, String)>,
    user: Option<u32>,
    wrapper: Vec<String>,
    stdin: Vec<u8>,
    number: u32,
}

/// A command that has run.
#[derive(Debug)]
pub(crate) struct Run {
    /// Its exit code; `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it wrote to standard output.
    pub(crate) stdout: String,
    /// What it wrote to standard error, apart from events.
    pub(crate) stderr: String,
    /// Everything it wrote to standard error.
    pub(crate) raw: String,
    steps: Vec<FinishedStep>,
    metadata: Option<Value>,
}

impl<'a> Invocation<'a> {
    pub(super) fn new(work: &'a Workspace, command: &str, arguments: &[&str], number: u32) -> Self {
        let arguments = arguments.iter().map(ToString::to_string).collect();
        Self {
            work,
            command: command.to_owned(),
            arguments,
            store: "store",
            variables: Vec::new(),
            user: None,
            wrapper: Vec::new(),
            stdin: Vec::new(),
            number,
        }
    }

    /// In another store of the workspace.
    pub(crate) fn store(mut self, name: &'a str) -> Self {
        self.store = name;
        self
    }

    /// With `SOURCE_DATE_EPOCH` set.
    pub(crate) fn epoch(self, epoch: &'a str) -> Self {
        self.variable("SOURCE_DATE_EPOCH", epoch)
    }

    /// With a variable of the environment set.
    pub(crate) fn variable(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.variables.push((name, value.into()));
        self
    }

    /// With something on standard input.
    pub(crate) fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// As an ordinary user, if this is root. The workspace must have been given to them.
    pub(crate) fn user(mut self, user: u32) -> Self {
        self.user = Some(user);
        self
    }

    /// Started by another program, which takes the command as its last arguments.
    pub(crate) fn through(mut self, wrapper: &[&str]) -> Self {
        self.wrapper = wrapper.iter().map(ToString::to_string).collect();
        self
    }

    /// Runs it, and expects it to work.
    pub(crate) fn succeeds(&self) -> Run {
        self.exits_with(0)
    }

    /// Runs it, and expects an exit code.
    pub(crate) fn exits_with(&self, code: i32) -> Run {
        self.exits_with_one_of(&[code])
    }

    /// Runs it, and expects one of several exit codes.
    pub(crate) fn exits_with_one_of(&self, codes: &[i32]) -> Run {
        let run = self.run();
        let expected = run.code.is_some_and(|code| codes.contains(&code));
        assert!(expected, "{} {:?}, expected {codes:?}:\n{run:#?}", self.command, self.arguments);
        run
    }

    /// Runs it, and expects it to fail in whatever way.
    pub(crate) fn fails(&self) -> Run {
        let run = self.run();
        assert!(run.code.is_some_and(|code| code != 0), "{} {:?}:\n{run:#?}", self.command, self.arguments);
        run
    }

    /// Starts it, with nobody to hear what it says.
    pub(crate) fn spawn(&self) -> Child {
        self.process().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("flashbuild starts")
    }

    /// Starts it, with its standard output to be read.
    pub(crate) fn spawn_heard(&self) -> Child {
        self.process().stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("flashbuild starts")
    }

    /// Runs it, however that ends.
    pub(crate) fn run(&self) -> Run {
        let output = self.process().output().expect("flashbuild starts");
        let raw = String::from_utf8_lossy(&output.stderr).into_owned();
        let (steps, stderr) = events::split(&raw);
        let metadata = fs::read(self.metadata_file()).ok().map(|json| serde_json::from_slice(&json).unwrap());
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        Run { code: output.status.code(), stdout, stderr, raw, steps, metadata }
    }

    fn process(&self) -> Command {
        let binary = Path::new(env!("CARGO_BIN_EXE_flashbuild"));
        let mut process = match (self.user.filter(|_| peer::is_root()), self.wrapper.split_first()) {
            (Some(user), _) => command_as(user, &self.own_binary(user)),
            (None, Some((program, arguments))) => {
                let mut wrapper = Command::new(program);
                wrapper.args(arguments).arg(binary);
                wrapper
            }
            (None, None) => Command::new(binary),
        };
        process.arg(&self.command);
        if self.command == "build" {
            process.args(["--progress", "rawjson", "--metadata-file"]).arg(self.metadata_file());
        }
        process.args(&self.arguments).current_dir(self.work.path("context")).stdin(self.standard_input());
        process
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.work.path("home"))
            .env("FLASHBUILD_ROOT", self.work.path(self.store))
            .envs(self.variables.iter().map(|(name, value)| (name, value)));
        process
    }

    /// From a file, so that nobody has to write while the command runs.
    fn standard_input(&self) -> Stdio {
        if self.stdin.is_empty() {
            return Stdio::null();
        }
        let path = self.work.path(format!("home/stdin-{}", self.number));
        fs::write(&path, &self.stdin).unwrap();
        Stdio::from(fs::File::open(path).unwrap())
    }

    fn metadata_file(&self) -> PathBuf {
        self.work.path(format!("home/metadata-{}.json", self.number))
    }

    /// The binary where an ordinary user can read it: the folder that cargo builds in may be closed to them.
    fn own_binary(&self, user: u32) -> PathBuf {
        let copy = self.work.path("home/flashbuild");
        if !copy.exists() {
            fs::copy(env!("CARGO_BIN_EXE_flashbuild"), &copy).unwrap();
            std::os::unix::fs::chown(&copy, Some(user), Some(user)).unwrap();
        }
        copy
    }
}

fn command_as(user: u32, binary: &Path) -> Command {
    let mut command = Command::new("setpriv");
    let user = user.to_string();
    command.args(["--reuid", &user, "--regid", &user, "--clear-groups", "--"]).arg(binary);
    command
}

impl Run {
    /// What the metadata file says.
    pub(crate) fn metadata(&self) -> &Value {
        self.metadata.as_ref().expect("a build that succeeds writes its metadata file")
    }

    /// Digest of the image or index that was built.
    pub(crate) fn digest(&self) -> &str {
        self.metadata()["containerimage.digest"].as_str().expect("the metadata file names the digest")
    }

    /// How the steps ended whose names contain `part`, in the order in which they ended.
    pub(crate) fn outcomes(&self, part: &str) -> Vec<&Outcome> {
        self.vertices().filter(|(name, _)| name.contains(part)).map(|(_, outcome)| outcome).collect()
    }

    /// How the steps ended, vertices or not, whose names contain `part`.
    pub(crate) fn ended(&self, part: &str) -> Vec<&Outcome> {
        self.steps.iter().filter(|step| step.name.contains(part)).map(|step| &step.outcome).collect()
    }

    /// Names of the steps that said why they ran, and what they said, in the order in which they ended.
    pub(crate) fn reasons(&self) -> impl Iterator<Item = (&str, &[Reason])> {
        let explained = self.steps.iter().filter(|step| !step.reasons.is_empty());
        explained.map(|step| (step.name.as_str(), step.reasons.as_slice()))
    }

    /// Names and outcomes of the steps that are vertices of the graph, in the order in which they ended.
    pub(crate) fn vertices(&self) -> impl Iterator<Item = (&str, &Outcome)> {
        self.steps.iter().filter(|step| step.is_vertex).map(|step| (step.name.as_str(), &step.outcome))
    }
}
