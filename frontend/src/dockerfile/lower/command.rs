//! `CMD`, `ENTRYPOINT`, `HEALTHCHECK` and `SHELL`: what containers run.

use super::{StageBuild, go};
use crate::{
    config::{ContainerConfig, Healthcheck as HealthcheckConfig},
    dockerfile::instruction::{Command, Healthcheck, HealthcheckCommand, Word},
};

pub(super) fn cmd(stage: &mut StageBuild<'_, '_>, command: &Command) {
    let config = &mut stage.state.config.config;
    let args = words(command, config);
    let created_by = format!("CMD {}", go::quoted_list(&args));
    config.cmd = Some(args);
    // Only Windows heeds it, where it is always right; builders set it everywhere.
    config.args_escaped = true;
    stage.sees_cmd = true;
    stage.record(created_by);
}

/// An entry point of the stage's own makes an inherited `CMD` meaningless, which was for another program.
pub(super) fn entrypoint(stage: &mut StageBuild<'_, '_>, command: &Command) {
    let config = &mut stage.state.config.config;
    let args = words(command, config);
    let created_by = format!("ENTRYPOINT {}", go::quoted_list(&args));
    config.entrypoint = Some(args);
    if !stage.sees_cmd {
        config.cmd = None;
    }
    stage.record(created_by);
}

pub(super) fn shell(stage: &mut StageBuild<'_, '_>, words: &[Word]) {
    let shell: Vec<String> = words.iter().map(|word| word.value.clone()).collect();
    stage.record(format!("SHELL {}", go::list(&shell)));
    stage.state.config.config.shell = shell;
}

pub(super) fn healthcheck(stage: &mut StageBuild<'_, '_>, check: &Healthcheck) {
    let check = match check {
        Healthcheck::None => HealthcheckConfig { test: vec!["NONE".to_owned()], ..HealthcheckConfig::default() },
        Healthcheck::Cmd(HealthcheckCommand { command, interval, timeout, start_period, start_interval, retries }) => {
            HealthcheckConfig {
                test: test(command),
                interval: interval.unwrap_or_default(),
                timeout: timeout.unwrap_or_default(),
                start_period: start_period.unwrap_or_default(),
                start_interval: start_interval.unwrap_or_default(),
                retries: retries.unwrap_or_default(),
            }
        }
    };
    stage.record(format!(
        "HEALTHCHECK {{Test:{} Interval:{} Timeout:{} StartPeriod:{} StartInterval:{} Retries:{}}}",
        go::list(&check.test),
        go::duration(check.interval),
        go::duration(check.timeout),
        go::duration(check.start_period),
        go::duration(check.start_interval),
        check.retries
    ));
    stage.state.config.config.healthcheck = Some(check);
}

/// The engine chooses the shell of a check, not `SHELL`.
fn test(command: &Command) -> Vec<String> {
    let (kind, words) = match command {
        Command::Exec(words) => ("CMD", words.as_slice()),
        Command::Shell(line) => ("CMD-SHELL", std::slice::from_ref(line)),
    };
    std::iter::once(kind.to_owned()).chain(words.iter().map(|word| word.value.clone())).collect()
}

fn words(command: &Command, config: &ContainerConfig) -> Vec<String> {
    match command {
        Command::Exec(words) => words.iter().map(|word| word.value.clone()).collect(),
        Command::Shell(line) => with_shell(config, line.value.clone()),
    }
}

/// A line as an argument of the configured shell.
pub(super) fn with_shell(config: &ContainerConfig, line: String) -> Vec<String> {
    let mut args =
        if config.shell.is_empty() { vec!["/bin/sh".to_owned(), "-c".to_owned()] } else { config.shell.clone() };
    args.push(line);
    args
}
