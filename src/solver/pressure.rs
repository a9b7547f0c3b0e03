//! Whether the machine has something left: what Linux says of tasks that wait for it (`Documentation/accounting/psi.rst`).

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// What may run short, and up to which share of the time tasks may have to wait for it before nothing more is begun.
const RESOURCES: [(&str, f64); 3] = [("cpu", 0.1), ("memory", 0.05), ("io", 0.5)];

/// Looks at the machine from time to time.
#[derive(Debug)]
pub(super) struct Pressure {
    folder: PathBuf,
    before: Option<(Instant, [Duration; 3])>,
}

impl Pressure {
    pub(super) fn of_this_machine() -> Self {
        Self::at(Path::new("/proc/pressure"))
    }

    fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), before: None }
    }

    /// Whether nothing was short since the last look. Where that cannot be told, as at the first look, something was.
    pub(super) fn is_low(&mut self, now: Instant) -> bool {
        let Some(waited) = self.read() else { return false };
        let Some((then, before)) = self.before.replace((now, waited)) else { return false };
        let since = now.saturating_duration_since(then).as_secs_f64();
        let shares = waited.iter().zip(before).map(|(now, then)| now.saturating_sub(then).as_secs_f64() / since);
        since > 0.0 && shares.zip(RESOURCES).all(|(share, (_, most))| share < most)
    }

    /// How long some task has waited for each, since the machine started.
    fn read(&self) -> Option<[Duration; 3]> {
        let mut waited = [Duration::ZERO; 3];
        for (total, (name, _)) in waited.iter_mut().zip(RESOURCES) {
            let text = fs::read_to_string(self.folder.join(name)).ok()?;
            let some = text.lines().find(|line| line.starts_with("some "))?;
            *total = Duration::from_micros(some.rsplit_once("total=")?.1.trim().parse().ok()?);
        }
        Some(waited)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pressure_is_low_while_hardly_anything_waits() {
        let folder = tempfile::tempdir().unwrap();
        let write = |cpu: u64, memory: u64| {
            for (name, total) in [("cpu", cpu), ("memory", memory), ("io", 0)] {
                let text = format!("some avg10=0.00 avg60=0.00 avg300=0.00 total={total}\nfull avg10=0.00 total=9\n");
                fs::write(folder.path().join(name), text).unwrap();
            }
        };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut pressure = Pressure::at(folder.path());
        assert!(!pressure.is_low(start), "nothing can be read");
        write(1_000_000, 0);
        assert!(!pressure.is_low(at(1)), "one look tells nothing");
        write(1_050_000, 0);
        assert!(pressure.is_low(at(2)));
        write(1_250_000, 0);
        assert!(!pressure.is_low(at(3)), "a fifth of the time");
        write(1_250_000, 100_000);
        assert!(!pressure.is_low(at(4)), "memory is short");
        write(1_250_000, 100_000);
        assert!(pressure.is_low(at(5)));
    }
}
