//! How much of the machine a step may use.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How much of the machine a process and its descendants may use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Limits of each process (`setrlimit(2)`); for what is not named, those of the caller hold.
    pub ulimits: Vec<Ulimit>,
    /// Size of `/dev/shm` in bytes, [`Limits::SHARED_MEMORY`] if not said.
    pub shared_memory: Option<u64>,
}

impl Limits {
    /// As much shared memory as other engines give a step, in bytes.
    pub const SHARED_MEMORY: u64 = 64 << 20;
}

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
