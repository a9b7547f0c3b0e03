//! What was typed, as a request; and what is said at the end. One file a command.
//!
//! Exit codes: 0 done, 1 the build failed, 2 wrong usage, 3 the environment, 130 interrupted.

mod analyze;
mod attest;
mod browse;
mod build;
mod build_args;
mod cache;
mod cache_spec;
mod cache_team;
mod cache_warm;
mod call;
mod config;
mod console;
mod debug_shell;
mod diff;
mod explain;
mod failed;
mod gc;
mod grants;
mod history;
mod images;
mod init;
mod interruption;
mod keys;
mod lock;
mod login;
mod on_hand;
mod output;
mod output_spec;
mod registries;
mod registry;
mod rewrite;
mod run;
mod smoke;
mod steps;
mod store;

use crate::progress::Output;
use analyze::AnalyzeArgs;
use attest::AttestArgs;
use build::BuildArgs;
use cache::CacheCommand;
use clap::{CommandFactory as _, Parser, Subcommand};
use config::ConfigArgs;
use diff::DiffArgs;
use explain::ExplainArgs;
use failed::Failed;
use grants::GrantArgs;
use history::HistoryCommand;
use images::InspectArgs;
use init::InitArgs;
use interruption::interruption;
use lock::LockArgs;
use output::OutputArgs;
use registries::RegistriesArgs;
use registry::RegistryCommand;
use std::process::ExitCode;
use steps::StepArgs;
use store::StoreArgs;

/// Builds OCI images from Dockerfiles, for several platforms at once, and does nothing twice.
#[derive(Debug, Parser)]
#[command(name = "flashbuild", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Build an image from a Dockerfile
    #[command(args_override_self = true)]
    Build(Box<BuildArgs>),
    /// Write down which packages a Dockerfile's DEPS mean now, in flashbuild.lock
    Lock(LockArgs),
    /// List the images in the local store
    Images(StoreArgs),
    /// Show an image of the local store
    Inspect(InspectArgs),
    /// Show what is in an image and what of it is wasted
    Analyze(Box<AnalyzeArgs>),
    /// Make an image smaller by what it does not need, and prove that it still works
    Slim(Box<rewrite::SlimArgs>),
    /// Divide large layers of an image by package, so that changes are small
    Split(Box<rewrite::SplitArgs>),
    /// Compare two images, file by file and field by field; exit code 1 if they differ
    Diff(Box<DiffArgs>),
    /// Say why the steps of the last build ran, or did not have to
    Explain(ExplainArgs),
    /// Look at the last builds
    #[command(subcommand)]
    History(HistoryCommand),
    /// Run an image's command in the sandbox, for trying it out
    Run(Box<run::RunArgs>),
    /// Look after the store
    #[command(subcommand)]
    Cache(CacheCommand),
    /// Show the configuration, and where each value came from
    Config(ConfigArgs),
    /// Write a Dockerfile and a .dockerignore for a project, and say why
    Init(InitArgs),
    /// Give an image of the local store more names
    Tag(on_hand::TagArgs),
    /// Take names of images away
    Rmi(on_hand::RemoveArgs),
    /// Fetch an image into the local store
    Pull(on_hand::PullArgs),
    /// Push an image of the local store
    Push(on_hand::PushArgs),
    /// Write an image of the local store to an archive
    Save(on_hand::SaveArgs),
    /// Save a password for a registry, if it takes it
    Login(login::LoginArgs),
    /// Forget the password for a registry
    Logout(login::LogoutArgs),
    /// Join images of several platforms
    #[command(subcommand)]
    Index(on_hand::IndexCommand),
    /// Serve the local store to others
    #[command(subcommand)]
    Registry(RegistryCommand),
    /// Print a completion script for a shell
    Completion {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page, in roff; flashbuild man build gives that of a command
    Man {
        /// The command
        command: Option<String>,
    },
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Build(args) => build::build(&args),
        Command::Lock(args) => lock::lock(&args),
        Command::Images(args) => images::images(&args),
        Command::Inspect(args) => images::inspect(&args),
        Command::Analyze(args) => {
            return analyze::analyze(&args).unwrap_or_else(|failed| failed.tell());
        }
        Command::Diff(args) => {
            return diff::diff(&args).unwrap_or_else(|failed| failed.tell());
        }
        Command::Explain(args) => explain::explain(&args),
        Command::History(command) => history::history(&command),
        Command::Run(args) => {
            return run::run(&args).unwrap_or_else(|failed| failed.tell());
        }
        Command::Slim(args) => rewrite::slim(&args),
        Command::Split(args) => rewrite::split(&args),
        Command::Cache(command) => cache::cache(&command),
        Command::Config(args) => config::config(&args),
        Command::Init(args) => init::init(&args),
        Command::Tag(args) => on_hand::tag(&args),
        Command::Rmi(args) => on_hand::rmi(&args),
        Command::Pull(args) => on_hand::pull(&args),
        Command::Push(args) => on_hand::push(&args),
        Command::Save(args) => on_hand::save(&args),
        Command::Login(args) => login::login(&args),
        Command::Logout(args) => login::logout(&args),
        Command::Index(command) => on_hand::index(&command),
        Command::Registry(command) => registry::registry(&command),
        Command::Completion { shell } => completion(shell),
        Command::Man { command } => man(command.as_deref()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => failed.tell(),
    }
}

fn completion(shell: clap_complete::Shell) -> Result<(), Failed> {
    let mut out = Output::stdout();
    clap_complete::generate(shell, &mut Cli::command(), "flashbuild", &mut out);
    out.finish().map_err(Failed::environment)
}

fn man(command: Option<&str>) -> Result<(), Failed> {
    let mut page = Cli::command();
    page.build();
    if let Some(name) = command {
        let found = page.find_subcommand(name).cloned();
        page = found.ok_or_else(|| Failed::usage(format!("there is no command {name:?}")))?;
    }
    let mut out = Output::stdout();
    clap_mangen::Man::new(page).render(&mut out).and_then(|()| out.finish()).map_err(Failed::environment)
}
