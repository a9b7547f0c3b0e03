//! What packages are chosen for and where they go: one Python on one platform.

use super::{
    super::{PackageError, libc::Libc},
    system::System,
    tags::{Tags, machine},
    wheel::can_compile,
};
use flashbuild_frontend::package::{DepsRequest, PackageContent, PackageFile, WheelLayout};
use pep508_rs::{
    MarkerEnvironment, MarkerEnvironmentBuilder, MarkerTree, StringVersion,
    pep440_rs::{Version, VersionSpecifiers},
};

/// Numbers of releases that a minor version of Python may come to.
const RELEASES: u64 = 64;
/// Where packages go if nobody says: a virtual environment.
const DEFAULT_PREFIX: &str = "/opt/venv";

/// One Python on one platform.
pub(super) struct Target {
    /// Minor version of Python 3.
    pub(super) minor: u32,
    /// Tags of wheels that it can use.
    pub(super) tags: Tags,
    /// What markers ask about.
    markers: MarkerEnvironment,
    /// Whether the release of Python is known, and not only its minor version.
    is_exact: bool,
    /// Absolute path of the interpreter in the image.
    interpreter: String,
    place: Place,
    /// Whether its pointers have 64 bits.
    wide: bool,
    /// The version whose bytecode comes with modules.
    bytecode: Option<String>,
}

/// Where packages go.
enum Place {
    /// Into a virtual environment.
    Prefix(String),
    /// Into a plain folder.
    Folder(String),
}

impl Target {
    /// What a request is for.
    pub(super) fn of(request: &DepsRequest, system: &System) -> Result<Self, PackageError> {
        let flag = |flag, problem: String| PackageError::Flag { flag, problem };
        let (full_version, interpreter) = python(request, system)?;
        let minor = minor_of(&full_version).filter(|minor| (7..100).contains(minor)).ok_or_else(|| {
            flag("python", format!("{full_version:?} is no version of Python 3: write 3.11, or the path of python3.11"))
        })?;
        let libc = match request.flag("libc") {
            Some(libc) => Libc::parse(libc).ok_or_else(|| {
                flag("libc", format!("{libc:?} is none of glibc, glibc-2.36, musl, musl-1.2 and the like"))
            })?,
            None => system.libc.unwrap_or(Libc::GLIBC),
        };
        let place = match (request.flag("prefix"), request.flag("target")) {
            (Some(_), Some(_)) => return Err(flag("target", "give --prefix or --target, not both".to_owned())),
            (Some(prefix), None) => Place::Prefix(absolute("prefix", prefix)?),
            (None, Some(folder)) => Place::Folder(absolute("target", folder)?),
            (None, None) => Place::Prefix(DEFAULT_PREFIX.to_owned()),
        };
        let platform = &request.platform;
        let (Some(tags), Some(machine)) = (Tags::of(minor, platform, libc), machine(platform)) else {
            return Err(PackageError::Unavailable(format!(
                "no wheels are made for {platform}: leave the platform out"
            )));
        };
        let is_exact = full_version.matches('.').count() >= 2;
        let full = if is_exact { full_version } else { format!("{full_version}.0") };
        let markers = MarkerEnvironment::try_from(MarkerEnvironmentBuilder {
            implementation_name: "cpython",
            implementation_version: &full,
            os_name: "posix",
            platform_machine: machine,
            platform_python_implementation: "CPython",
            platform_release: "",
            platform_system: "Linux",
            platform_version: "",
            python_full_version: &full,
            python_version: &format!("3.{minor}"),
            sys_platform: "linux",
        })
        .map_err(|error| flag("python", error.to_string()))?;
        let wide = !matches!(platform.arch.as_str(), "arm" | "386");
        Ok(Self { minor, tags, markers, is_exact, interpreter, place, wide, bytecode: None })
    }

    /// Whether a marker holds, with these extras asked for.
    pub(super) fn fits(&self, marker: &MarkerTree, extras: &[pep508_rs::ExtraName]) -> bool {
        marker.evaluate(&self.markers, extras)
    }

    /// Whether a range has the version of Python, or has one that it may have as far as it is known.
    pub(super) fn may_be(&self, range: &VersionSpecifiers) -> bool {
        self.versions().any(|version| range.contains(&version))
    }

    /// Whether a marker holds, or does for a version that Python may have.
    pub(super) fn may_fit(&self, marker: &MarkerTree) -> bool {
        self.versions().any(|version| {
            let environment = self.markers.clone().with_python_full_version(StringVersion::from(version));
            marker.evaluate(&environment, &[])
        })
    }

    /// The releases that Python may be. A version before a release counts as that.
    fn versions(&self) -> impl Iterator<Item = Version> {
        let known = self.is_exact.then(|| self.markers.python_full_version().version.only_release());
        let all = (0..RELEASES).filter(|_| !self.is_exact).map(|release| Version::new([3, self.minor.into(), release]));
        known.into_iter().chain(all)
    }

    /// The version of Python, as far as it is known.
    pub(super) fn version(&self) -> String {
        self.markers.python_full_version().to_string()
    }

    /// Modules come with their bytecode; false if nobody here can make it.
    pub(super) fn compile(&mut self) -> bool {
        let version = format!("3.{}", self.minor);
        let can = tokio::task::block_in_place(|| can_compile(&version));
        self.bytecode = can.then_some(version);
        can
    }

    /// Where the parts of a wheel go.
    pub(super) fn layout(&self, requested: bool) -> WheelLayout {
        match &self.place {
            Place::Prefix(prefix) => WheelLayout {
                site: format!("{prefix}/lib/python3.{}/site-packages", self.minor),
                scripts: format!("{prefix}/bin"),
                data: prefix.clone(),
                headers: format!("{prefix}/include/site/python3.{}", self.minor),
                interpreter: format!("{prefix}/bin/python"),
                requested,
                bytecode: self.bytecode.clone(),
            },
            Place::Folder(folder) => WheelLayout {
                site: folder.clone(),
                scripts: format!("{folder}/bin"),
                data: folder.clone(),
                headers: format!("{folder}/include"),
                interpreter: self.interpreter.clone(),
                requested,
                bytecode: self.bytecode.clone(),
            },
        }
    }

    /// What makes the folder an environment (`venv`'s documentation, "How venvs work").
    pub(super) fn files(&self) -> Vec<PackageFile> {
        let Place::Prefix(prefix) = &self.place else { return Vec::new() };
        let file = |path: String, content| PackageFile { path: format!("{prefix}/{path}"), mode: 0o644, content };
        let link = |path: &str, to: &str| file(path.to_owned(), PackageContent::Link(to.to_owned()));
        let home = self.interpreter.rsplit_once('/').map_or("/", |(home, _)| home);
        let minor = self.minor;
        let settings = format!("home = {home}\ninclude-system-site-packages = false\nversion = 3.{minor}\n");
        let mut files = vec![
            link("bin/python", &self.interpreter),
            link("bin/python3", "python"),
            link(&format!("bin/python3.{minor}"), "python"),
            file("pyvenv.cfg".to_owned(), PackageContent::Text(settings)),
        ];
        if self.wide {
            files.push(link("lib64", "lib"));
        }
        files
    }

    /// `Python 3.11.4 (/usr/bin/python3.11)`, as far as it is known: for messages.
    pub(super) fn interpreter_name(&self) -> String {
        let version = if self.is_exact { self.version() } else { format!("3.{}", self.minor) };
        format!("Python {version} ({})", self.interpreter)
    }

    /// `linux x86_64`: for messages.
    pub(super) fn machine_name(&self) -> String {
        format!("{} {}", self.markers.sys_platform(), self.markers.platform_machine())
    }

    /// `Python 3.11 on linux/arm64`, but for the platform: for messages.
    pub(super) fn python_name(&self) -> String {
        format!("Python 3.{}", self.minor)
    }
}

/// Version and path of the interpreter.
fn python(request: &DepsRequest, system: &System) -> Result<(String, String), PackageError> {
    // Official images of Python say which one they have, and have it there.
    let of_image = request.variable("PYTHON_VERSION").filter(|version| version.starts_with("3."));
    let in_image = |version: &str| format!("/usr/local/bin/python3.{}", minor_of(version).unwrap_or_default());
    match (request.flag("python"), of_image) {
        (Some(path), _) if path.starts_with('/') => {
            let name = path.rsplit('/').next().unwrap_or_default();
            let version = name.strip_prefix("python").filter(|version| version.starts_with("3."));
            let version = version.or(of_image).ok_or_else(|| PackageError::Flag {
                flag: "python",
                problem: format!("{path} does not say which version it is: write the path of python3.11 or the like"),
            })?;
            Ok((version.to_owned(), path.to_owned()))
        }
        (Some(version), of_image) => {
            let minor = minor_of(version);
            if let Some(image) = of_image.filter(|image| minor_of(image) == minor) {
                return Ok((image.to_owned(), in_image(image)));
            }
            let found = system.pythons.iter().find(|python| minor_of(&python.version) == minor);
            let path = found.map(|python| python.path.clone());
            Ok((version.to_owned(), path.unwrap_or_else(|| format!("/usr/bin/python3.{}", minor.unwrap_or_default()))))
        }
        (None, Some(image)) => Ok((image.to_owned(), in_image(image))),
        (None, None) => match system.pythons.first() {
            Some(python) => Ok((python.version.clone(), python.path.clone())),
            None => Err(PackageError::Flag {
                flag: "python",
                problem:
                    "there is no Python below: put `DEPS apt python3` before it, begin with an image that has one, or \
                          write --python=3.11, or the path of an interpreter that comes later"
                        .to_owned(),
            }),
        },
    }
}

fn minor_of(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("3.")?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    let behind = &rest[digits.len()..];
    if behind.is_empty() || behind.starts_with('.') { digits.parse().ok() } else { None }
}

/// An absolute path without surprises.
fn absolute(flag: &'static str, path: &str) -> Result<String, PackageError> {
    let clean = path.trim_end_matches('/');
    let is_plain = |rest: &str| rest.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if clean.strip_prefix('/').is_some_and(is_plain) {
        return Ok(clean.to_owned());
    }
    Err(PackageError::Flag { flag, problem: format!("{path:?} is no absolute path such as /opt/venv") })
}
