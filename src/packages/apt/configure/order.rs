//! In which order scripts run, as far as dpkg does not decide it itself.
//!
//! dpkg orders what it configures. Left to say is what has to be configured before the `preinst` of another package: what
//! that pre-depends on (Debian Policy, section 7.2), and before everything else the essential packages, on which others
//! need not say that they depend (section 3.8).

use super::super::Paragraph;
use std::collections::{BTreeMap, BTreeSet};

/// What of a package decides when its scripts run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// What dpkg calls it here.
    pub(super) stem: String,
    /// Its name and those that it provides.
    pub(super) names: Vec<String>,
    pub(super) essential: bool,
    pub(super) has_preinst: bool,
    /// Names in `Pre-Depends`, alternatives included.
    pub(super) before: Vec<String>,
    /// Names in `Depends`, alternatives included.
    pub(super) needs: Vec<String>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action<'a> {
    /// Run this package's `preinst`.
    Preinst(&'a str),
    /// Have dpkg configure these packages.
    Configure(Vec<&'a str>),
    /// Have dpkg configure whatever is left.
    ConfigureAll,
}

impl Facts {
    pub(super) fn read(stem: String, name: &str, paragraph: &Paragraph, has_preinst: bool) -> Self {
        let names = |field: &str| names_in(paragraph.get(field).unwrap_or_default());
        Self {
            stem,
            names: std::iter::once(name.to_owned()).chain(names("Provides")).collect(),
            essential: paragraph.get("Essential") == Some("yes"),
            has_preinst,
            before: names("Pre-Depends"),
            needs: names("Depends"),
        }
    }
}

/// The names in a list of dependencies: `a (>= 1) | b, c:any`.
fn names_in(list: &str) -> Vec<String> {
    let name = |word: &str| {
        let end = word.find([' ', '(', ':', '[', '<']).unwrap_or(word.len());
        word[..end].to_owned()
    };
    list.split([',', '|']).map(|word| name(word.trim())).filter(|name| !name.is_empty()).collect()
}

/// What to do with `packages`. Versions do not count: apt has chosen packages that fit.
pub(super) fn order(packages: &[Facts]) -> Vec<Action<'_>> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, package) in packages.iter().enumerate() {
        for name in &package.names {
            by_name.entry(name).or_default().push(index);
        }
    }
    let mut plan = Plan { packages, by_name, begun: BTreeSet::new(), configured: BTreeSet::new(), actions: Vec::new() };
    let essential = (0..packages.len()).filter(|index| packages[*index].essential);
    let essential = plan.with_needs(essential.collect());
    for &index in &essential {
        plan.preinst(index);
    }
    plan.configure(essential);
    for index in plan.with_needs((0..packages.len()).collect()) {
        plan.begin(index);
    }
    plan.actions.push(Action::ConfigureAll);
    plan.actions
}

struct Plan<'a> {
    packages: &'a [Facts],
    by_name: BTreeMap<&'a str, Vec<usize>>,
    begun: BTreeSet<usize>,
    configured: BTreeSet<usize>,
    actions: Vec<Action<'a>>,
}

impl<'a> Plan<'a> {
    /// `start` and all that these need, those first that others need.
    fn with_needs(&self, start: Vec<usize>) -> Vec<usize> {
        let mut found = Vec::new();
        let mut seen = BTreeSet::new();
        // What is visited a second time has had its needs looked at.
        let mut waiting: Vec<(usize, bool)> = start.into_iter().rev().map(|index| (index, false)).collect();
        while let Some((index, is_done)) = waiting.pop() {
            if is_done {
                found.push(index);
            } else if seen.insert(index) {
                waiting.push((index, true));
                let package = &self.packages[index];
                let names = package.needs.iter().chain(&package.before).rev();
                waiting.extend(names.flat_map(|name| self.called(name)).map(|index| (index, false)));
            }
        }
        found
    }

    fn called(&self, name: &str) -> impl Iterator<Item = usize> {
        self.by_name.get(name).cloned().unwrap_or_default().into_iter()
    }

    /// Brings a package to the point at which dpkg can configure it.
    fn begin(&mut self, index: usize) {
        let mut waiting = vec![(index, false)];
        let mut seen = BTreeSet::new();
        while let Some((index, is_ready)) = waiting.pop() {
            if self.begun.contains(&index) {
                continue;
            }
            let package = &self.packages[index];
            let before: Vec<usize> = package.before.iter().flat_map(|name| self.called(name)).collect();
            let before = self.with_needs(before);
            // In a circle, nobody can be first.
            let is_circle = before.contains(&index);
            if is_ready || is_circle || before.is_empty() || !seen.insert(index) {
                if package.has_preinst && !is_circle {
                    self.configure(before);
                }
                self.preinst(index);
            } else {
                waiting.push((index, true));
                waiting.extend(before.into_iter().rev().map(|index| (index, false)));
            }
        }
    }

    fn preinst(&mut self, index: usize) {
        if self.begun.insert(index) && self.packages[index].has_preinst {
            self.actions.push(Action::Preinst(&self.packages[index].stem));
        }
    }

    fn configure(&mut self, which: Vec<usize>) {
        let new: Vec<usize> = which.into_iter().filter(|index| self.configured.insert(*index)).collect();
        if !new.is_empty() {
            let stems = new.into_iter().map(|index| self.packages[index].stem.as_str());
            self.actions.push(Action::Configure(stems.collect()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One package a line: `NAME[!][*] [<PRE-DEPENDS…] [DEPENDS…]`; `!` is essential, `*` has a `preinst`.
    #[track_caller]
    fn check(packages: &str, expected: &[&str]) {
        let facts: Vec<Facts> = packages.lines().map(facts).collect();
        let text = |action: &Action<'_>| match action {
            Action::Preinst(name) => format!("preinst {name}"),
            Action::Configure(names) => format!("configure {}", names.join(" ")),
            Action::ConfigureAll => "all".to_owned(),
        };
        assert_eq!(order(&facts).iter().map(text).collect::<Vec<_>>(), expected, "{packages}");
    }

    fn facts(line: &str) -> Facts {
        let mut words = line.split(' ');
        let name = words.next().unwrap();
        let stem = name.trim_end_matches(['!', '*']).to_owned();
        let (before, needs): (Vec<&str>, Vec<&str>) = words.partition(|word| word.starts_with('<'));
        let owned = |words: Vec<&str>| words.iter().map(|word| word.trim_start_matches('<').to_owned()).collect();
        Facts {
            names: vec![stem.clone()],
            essential: name.contains('!'),
            has_preinst: name.contains('*'),
            before: owned(before),
            needs: owned(needs),
            stem,
        }
    }

    #[test]
    fn dpkg_orders_what_needs_no_word_from_us() {
        check("a b\nb", &["all"]);
        check("a* b\nb*", &["preinst b", "preinst a", "all"]);
    }

    #[test]
    fn essential_packages_and_what_they_need_come_first() {
        check(
            "app* tool\ntool*\nsh!* libc\nlibc*\nbase!",
            &["preinst libc", "preinst sh", "configure libc sh base", "preinst tool", "preinst app", "all"],
        );
    }

    #[test]
    fn what_a_script_pre_depends_on_is_configured_before_it_runs() {
        check(
            "db* <adduser lib\nadduser* passwd\npasswd*\nlib",
            &["preinst passwd", "preinst adduser", "configure passwd adduser", "preinst db", "all"],
        );
        // Without a script, dpkg can see to it.
        check("db <adduser\nadduser*", &["preinst adduser", "all"]);
    }

    #[test]
    fn circles_end() {
        check("a* <b\nb* a", &["preinst b", "preinst a", "all"]);
        check("a! b\nb* a", &["preinst b", "configure b a", "all"]);
    }

    #[test]
    fn alternatives_versions_and_architectures_are_no_part_of_a_name() {
        assert_eq!(names_in("a (>= 1) | b, c:any,\n d [amd64]"), ["a", "b", "c", "d"]);
        assert_eq!(names_in(""), Vec::<String>::new());
    }
}
