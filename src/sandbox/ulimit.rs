//! The limits of each process (`setrlimit(2)`).

use super::failure::{Doing, Failure};
use rustix::process::{Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A limit of each process: `NAME=SOFT[:HARD]`, where a limit is a number or `unlimited`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// Of what.
    pub resource: Resource,
    /// What holds now; `None` is no limit.
    pub soft: Option<u64>,
    /// What a process may raise it to; `None` is no limit.
    pub hard: Option<u64>,
}

/// What a process may use only so much of, under the names that Docker has for them; units are those of `setrlimit(2)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the manual page explains them")]
pub enum Resource {
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rss,
    Rtprio,
    Rttime,
    Sigpending,
    Stack,
}

impl Resource {
    const ALL: [Self; 15] = [
        Self::Core,
        Self::Cpu,
        Self::Data,
        Self::Fsize,
        Self::Locks,
        Self::Memlock,
        Self::Msgqueue,
        Self::Nice,
        Self::Nofile,
        Self::Nproc,
        Self::Rss,
        Self::Rtprio,
        Self::Rttime,
        Self::Sigpending,
        Self::Stack,
    ];

    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::Cpu => "cpu",
            Self::Data => "data",
            Self::Fsize => "fsize",
            Self::Locks => "locks",
            Self::Memlock => "memlock",
            Self::Msgqueue => "msgqueue",
            Self::Nice => "nice",
            Self::Nofile => "nofile",
            Self::Nproc => "nproc",
            Self::Rss => "rss",
            Self::Rtprio => "rtprio",
            Self::Rttime => "rttime",
            Self::Sigpending => "sigpending",
            Self::Stack => "stack",
        }
    }
}

/// A text that is no [`Ulimit`].
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum UlimitError {
    /// It has another form.
    #[error("expected NAME=SOFT[:HARD] with numbers or \"unlimited\"")]
    Form,
    /// There is no such resource.
    #[error("no limit is called {name:?}: there are {}", Resource::ALL.map(Resource::name).join(", "))]
    Unknown {
        /// What was said.
        name: String,
    },
    /// The limit in force is above what it may be raised to.
    #[error("the soft limit is above the hard one")]
    SoftAboveHard,
}

impl FromStr for Ulimit {
    type Err = UlimitError;

    fn from_str(text: &str) -> Result<Self, UlimitError> {
        let (name, values) = text.split_once('=').ok_or(UlimitError::Form)?;
        let resource = Resource::ALL
            .into_iter()
            .find(|resource| resource.name() == name)
            .ok_or_else(|| UlimitError::Unknown { name: name.to_owned() })?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let (soft, hard) = (limit(soft)?, limit(hard)?);
        let above = |value: Option<u64>| value.unwrap_or(u64::MAX);
        if above(soft) > above(hard) {
            return Err(UlimitError::SoftAboveHard);
        }
        Ok(Self { resource, soft, hard })
    }
}

fn limit(text: &str) -> Result<Option<u64>, UlimitError> {
    match text {
        "unlimited" | "-1" => Ok(None),
        number => number.parse().map(Some).map_err(|_| UlimitError::Form),
    }
}

impl fmt::Display for Ulimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: Option<u64>| value.map_or_else(|| "unlimited".to_owned(), |value| value.to_string());
        write!(f, "{}={}:{}", self.resource.name(), text(self.soft), text(self.hard))
    }
}

/// Sets the limits of this process, which what it executes inherits.
pub(super) fn set(ulimits: &[Ulimit]) -> Result<(), Failure> {
    for ulimit in ulimits {
        let limit = Rlimit { current: ulimit.soft, maximum: ulimit.hard };
        setrlimit(kernels(ulimit.resource), limit)
            .doing(|| format!("limit {ulimit}"))
            .map_err(|failure| failure.hint("to raise a hard limit takes CAP_SYS_RESOURCE of the machine"))?;
    }
    Ok(())
}

fn kernels(resource: Resource) -> rustix::process::Resource {
    match resource {
        Resource::Core => rustix::process::Resource::Core,
        Resource::Cpu => rustix::process::Resource::Cpu,
        Resource::Data => rustix::process::Resource::Data,
        Resource::Fsize => rustix::process::Resource::Fsize,
        Resource::Locks => rustix::process::Resource::Locks,
        Resource::Memlock => rustix::process::Resource::Memlock,
        Resource::Msgqueue => rustix::process::Resource::Msgqueue,
        Resource::Nice => rustix::process::Resource::Nice,
        Resource::Nofile => rustix::process::Resource::Nofile,
        Resource::Nproc => rustix::process::Resource::Nproc,
        Resource::Rss => rustix::process::Resource::Rss,
        Resource::Rtprio => rustix::process::Resource::Rtprio,
        Resource::Rttime => rustix::process::Resource::Rttime,
        Resource::Sigpending => rustix::process::Resource::Sigpending,
        Resource::Stack => rustix::process::Resource::Stack,
    }
}

#[cfg(test)]
mod tests {
    use super::{Ulimit, UlimitError};

    #[test]
    fn limits_are_read_as_docker_does() {
        for (text, expected) in [
            ("nofile=1024", "nofile=1024:1024"),
            ("nofile=1024:2048", "nofile=1024:2048"),
            ("core=0", "core=0:0"),
            ("stack=8388608:-1", "stack=8388608:unlimited"),
            ("nproc=unlimited", "nproc=unlimited:unlimited"),
        ] {
            assert_eq!(text.parse::<Ulimit>().unwrap().to_string(), expected);
        }
    }

    #[test]
    fn what_is_no_limit_is_explained() {
        for (text, expected) in [
            ("nofile", UlimitError::Form),
            ("nofile=", UlimitError::Form),
            ("nofile=1:2:3", UlimitError::Form),
            ("nofile=-2", UlimitError::Form),
            ("nofile=3:2", UlimitError::SoftAboveHard),
            ("nofile=unlimited:2", UlimitError::SoftAboveHard),
            ("files=1", UlimitError::Unknown { name: "files".to_owned() }),
        ] {
            assert_eq!(text.parse::<Ulimit>(), Err(expected), "{text}");
        }
    }
}
