//! How steps run on this machine: flags of `build` that change no result.

use super::Failed;
use crate::{
    exec::StepOptions,
    sandbox::{HostEntry, Limits, Ulimit},
};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(next_help_heading = "Steps")]
pub(super) struct StepArgs {
    /// Name and address for /etc/hosts (repeatable)
    #[arg(long, value_name = "NAME:ADDRESS")]
    add_host: Vec<HostEntry>,
    /// Limit of each process, such as nofile=1024:2048 (repeatable)
    #[arg(long, value_name = "NAME=SOFT[:HARD]")]
    ulimit: Vec<Ulimit>,
    /// Size of /dev/shm, such as 128m [default: 64m]
    #[arg(long, value_name = "SIZE", value_parser = size)]
    shm_size: Option<u64>,
    /// Static emulator for steps of other platforms [default: the host's handler, else qemu on PATH]
    #[arg(long, value_name = "FILE")]
    emulator: Option<PathBuf>,
    /// Something about how steps are kept from the machine: no-new-privileges
    #[arg(long, value_name = "OPTION", value_parser = ["no-new-privileges"])]
    security_opt: Vec<String>,
}

impl StepArgs {
    pub(super) fn options(&self) -> Result<StepOptions, Failed> {
        let emulator = match &self.emulator {
            None => None,
            Some(file) => Some(std::path::absolute(file).map_err(Failed::usage)?),
        };
        Ok(StepOptions {
            limits: Limits { ulimits: self.ulimit.clone(), shared_memory: self.shm_size },
            hosts: self.add_host.clone(),
            emulator,
            no_new_privileges: !self.security_opt.is_empty(),
        })
    }
}

/// Reads a number of bytes with an optional unit, a power of 1024, as Docker does: `b`, `k`, `m`, `g`, `t`.
fn size(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let number = lower.strip_suffix('b').unwrap_or(&lower);
    let number = number.strip_suffix('i').unwrap_or(number);
    let (number, shift) = match number.strip_suffix(['k', 'm', 'g', 't']) {
        None => (number, 0),
        Some(rest) => (rest, 10 * (1 + "kmgt".find(&number[rest.len()..]).unwrap_or_default())),
    };
    let number: u64 = number.trim().parse().map_err(|_| "expected a number of bytes such as 512m".to_owned())?;
    number.checked_mul(1 << shift).ok_or_else(|| "that is more than any machine has".to_owned())
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_read_as_docker_does() {
        for (text, expected) in [
            ("0", Some(0)),
            ("100", Some(100)),
            ("100b", Some(100)),
            ("2k", Some(2 << 10)),
            ("64m", Some(64 << 20)),
            ("64MB", Some(64 << 20)),
            ("1GiB", Some(1 << 30)),
            ("1t", Some(1 << 40)),
            ("", None),
            ("m", None),
            ("-1", None),
            ("1x", None),
            ("99999999999t", None),
        ] {
            assert_eq!(size(text).ok(), expected, "{text}");
        }
    }
}
