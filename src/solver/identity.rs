//! Which step of an earlier build a step is to be compared with.
//!
//! The same instruction in the same stage is the same step, wherever it stands; where there is none, what stood in its
//! place. Steps of the same project come first: a [`Node`] does not say what it is part of, so whoever solves a graph does.

use flashbuild_frontend::graph::{Node, Op};

/// What a step is known by from one build to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The project.
    pub project: [u8; 32],
    /// Stage, platform and text of the instruction.
    pub text: [u8; 32],
    /// Stage, platform, number and kind of the instruction.
    pub place: [u8; 32],
}

impl Identity {
    pub(super) fn of(project: &str, node: &Node) -> Self {
        let (stage, number, title) = parts(&node.name);
        let platform = node.platform.as_ref().map(ToString::to_string).unwrap_or_default();
        let kind = match node.op {
            Op::Image(_) => "image",
            Op::Local(_) => "local",
            Op::Http(_) => "http",
            Op::Git(_) => "git",
            Op::Exec(_) => "exec",
            Op::File(_) => "file",
            Op::Merge => "merge",
            Op::Package(_) => "package",
        };
        Self {
            project: digest(&[project]),
            text: digest(&[stage, &platform, title]),
            place: digest(&[stage, &platform, number, kind]),
        }
    }
}

/// The name of a step without stage and number: of `[build 2/5] RUN make` it is `RUN make`.
pub(super) fn title(name: &str) -> &str {
    parts(name).2
}

/// Stage, number and the rest of `[build 2/5] RUN make`.
fn parts(name: &str) -> (&str, &str, &str) {
    let bracketed = name.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    let Some((place, title)) = bracketed else { return ("", "", name) };
    let (stage, count) = place.rsplit_once(' ').unwrap_or(("", place));
    // How many steps there are does not make it another step.
    (stage.trim(), count.split('/').next().unwrap_or_default(), title)
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

#[cfg(test)]
mod tests {
    use super::parts;

    #[test]
    fn names_come_apart() {
        for (name, expected) in [
            ("[build 2/5] RUN make", ("build", "2", "RUN make")),
            ("[build  2/10] RUN a] b", ("build", "2", "RUN a] b")),
            ("[2/5] COPY . .", ("", "2", "COPY . .")),
            ("load build context", ("", "", "load build context")),
            ("[ ", ("", "", "[ ")),
        ] {
            assert_eq!(parts(name), expected, "{name}");
        }
    }
}
