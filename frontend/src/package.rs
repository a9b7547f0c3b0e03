//! Packages of a language or a distribution, as the graph sees them: artifacts that are unpacked, never installed.
//!
//! [`DEPS`](crate::dockerfile::instruction::Deps) asks for them ([`DepsRequest`]); the core finds out which artifacts
//! that means ([`DepsPlan`]); each of the plan's [`PackageOp`]s becomes one node, and one layer for ever: its key is what the
//! artifacts hold and where they go, never where they come from.

use crate::{
    graph::{NeededProgram, ScriptFile},
    platform::Platform,
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt, str::FromStr};

/// Where packages come from. A closed set: `src/packages/` has a module for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ecosystem {
    /// Debian packages.
    Apt,
    /// npm tarballs.
    Node,
    /// Wheels.
    Python,
}

impl Ecosystem {
    /// All of them, in the order of the alphabet.
    pub const ALL: [Self; 3] = [Self::Apt, Self::Node, Self::Python];

    /// As written behind `DEPS`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Apt => "apt",
            Self::Node => "node",
            Self::Python => "python",
        }
    }
}

/// One `DEPS` for one platform, its variables expanded: what the core answers with a [`DepsPlan`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DepsRequest {
    /// Whose packages.
    pub ecosystem: Ecosystem,
    /// Names and values of the flags, in their order; a switch has the value `true`.
    pub flags: Vec<(String, String)>,
    /// What is behind the flags: names of packages, or one lock file of the context.
    pub arguments: Vec<String>,
    /// The platform that the packages are for.
    pub platform: Platform,
    /// `NAME=value` of the stage: images of interpreters say there what they have.
    pub environment: Vec<String>,
    /// The image that the stage starts from, and the digest of its manifest; none for `scratch`.
    pub base: Option<(String, String)>,
    /// Whether a system is below: an image, or the packages of a distribution that came before.
    pub has_system: bool,
    /// Names and versions of a distribution's packages that came before, for requests that leave open what they are for.
    pub system: Vec<(String, String)>,
    /// The tree that the packages are put on, if what is in it decides which they are.
    pub below: Option<Box<StageTree>>,
    /// Where its lock is.
    pub from: LockPlace,
    /// How many layers it may come to.
    pub room: Room,
}

/// How many layers the packages of a request may come to, by how many there are below them. Container engines take 127 in an
/// image, and somebody may build on it. There are few answers, so that a step more or less below seldom makes another of it:
/// then packages share layers in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Room {
    /// As many as are good for sharing them with other images.
    #[default]
    Ample,
    /// About half of that.
    Half,
    /// About ten.
    Little,
    /// As few as possible.
    Last,
}

impl Room {
    /// On top of so many layers. An image then has about 100, however many requests it is made of.
    pub fn above(layers: usize) -> Self {
        match layers {
            0..=24 => Self::Ample,
            25..=52 => Self::Half,
            53..=84 => Self::Little,
            _ => Self::Last,
        }
    }
}

/// The tree of a stage in the middle of it, told apart from all others of its build definition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StageTree {
    /// The stage: its position in the file.
    pub stage: usize,
    /// After how many steps of its history.
    pub steps: usize,
    /// The platform that is built for.
    pub platform: Platform,
}

/// Where the lock of a [`DepsRequest`] is, and the files that it names (`--from`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockPlace {
    /// In the build context.
    Context,
    /// In another context: the name that [`LocalOp`](crate::graph::LocalOp) has for it.
    Named(String),
    /// In an image: the digest of its manifest.
    Image(String),
    /// In a stage: its position in the file, and the platform that it is built for.
    Stage(usize, Platform),
}

impl DepsRequest {
    /// The value of a flag that is given once.
    pub fn flag(&self, name: &str) -> Option<&str> {
        self.flags.iter().find(|(flag, _)| flag == name).map(|(_, value)| value.as_str())
    }

    /// All values of a flag.
    pub fn flags<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.flags.iter().filter(move |(flag, _)| flag == name).map(|(_, value)| value.as_str())
    }

    /// The value of a variable of the stage.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='))
    }
}

/// What a [`DepsRequest`] comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DepsPlan {
    /// One layer each, lowest first.
    pub layers: Vec<PackageOp>,
    /// How those packages of the layers come to be that are [made](PackageLayout::is_made) by a step.
    pub builds: Vec<PackageBuild>,
    /// What follows from these layers and the stage's tree as a whole: one more, on top of them.
    pub settled: Option<Box<Settled>>,
    /// What then runs on the stage's tree, one after the other: one more layer each.
    pub steps: Vec<InstallStep>,
    /// Names and versions of a distribution's packages that were found [below](DepsRequest::below), and stay.
    pub found: Vec<(String, String)>,
}

/// What several packages, and what is below them, come to together: a layer that is made of the whole tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// What the packages say, beside their files: a tree that is not part of the image.
    pub said: PackageOp,
    /// The layer; its files are [made of a tree](PackageContent::is_of_tree).
    pub layer: PackageOp,
}

/// A process that finishes what unpacking leaves undone: scripts that packages bring along. It runs as root, and what it
/// changes has the time of [unpacked packages](PackageOp::TIME).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallStep {
    /// What it does, for people, behind `DEPS` and the ecosystem.
    pub summary: String,
    /// Program and arguments.
    pub args: Vec<String>,
    /// `NAME=value` that win over what the stage has.
    pub env: Vec<String>,
    /// Absolute path of the working directory.
    pub cwd: String,
    /// Files shown to the process.
    pub files: Vec<ScriptFile>,
    /// Packages shown to the process, unpacked in a read-only folder at this absolute path.
    pub shown: Option<(String, PackageOp)>,
    /// Absolute paths of folders that are empty for the process, and of which nothing is kept.
    pub scratch: Vec<String>,
    /// Programs that have to be in the tree.
    pub needs: Vec<NeededProgram>,
}

impl DepsPlan {
    /// The step that makes a package.
    pub fn build_of(&self, package: &Package) -> Option<&PackageBuild> {
        self.builds.iter().find(|build| build.artifact == package.artifact && build.name == package.name)
    }
}

/// A step that makes a package: a process that is shown the artifact of the lock, and leaves what is unpacked in its place.
///
/// Lowering makes three nodes of it: an [`Op::Package`](crate::graph::Op::Package) that holds the artifact as a file
/// ([`PackageLayout::File`]), an [`Op::Exec`](crate::graph::Op::Exec) on the tree that has the tools, with that file mounted at
/// [`PackageBuild::SOURCE`], and the package's own node with the process's tree as an input, where one file has to lie in
/// [`PackageBuild::MADE`]. So the process is keyed, shared, run emulated and told of like any `RUN`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageBuild {
    /// The package's normalised name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What the artifact must be.
    pub artifact: ArtifactHash,
    /// What the artifact is called: one component of a path.
    pub file: String,
    /// Program and arguments; the program is looked up in the `PATH` of the tree that has the tools.
    pub args: Vec<String>,
    /// `NAME=value`, over what the tree's own stage has.
    pub env: Vec<String>,
    /// Shown to the process.
    pub files: Vec<ScriptFile>,
    /// Programs that have to be in the tree.
    pub needs: Vec<NeededProgram>,
}

impl PackageBuild {
    /// The folder that holds the artifact while the process runs.
    pub const SOURCE: &str = "/run/deps/source";
    /// The folder in which the process leaves what it made.
    pub const MADE: &str = "/.deps-made";
}

/// Artifacts that are unpacked into one layer; the result is a tree of exactly that layer. The inputs are the trees of the
/// steps that make packages, in the order of those packages; usually there are none. Files that are [made of a
/// tree](PackageContent::is_of_tree) are in layers without packages, whose inputs are what that tree consists of, lowest first, and at last
/// what the packages of it [say](Settled::said); the first input is the tree that they come to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PackageOp {
    /// The packages, in the order in which they are unpacked: of two files with one path, the later one stays.
    pub packages: Vec<Package>,
    /// Files beside them, which stay in any case.
    pub files: Vec<PackageFile>,
}

impl PackageOp {
    /// Modification time of everything in the layer, in seconds since 1970: 1980-01-01, the earliest that a zip archive can
    /// express, because Python refuses to put older files into one. An earlier `SOURCE_DATE_EPOCH` wins.
    pub const TIME: i64 = 315_532_800;

    /// Whether it is made of the tree that its inputs come to.
    pub fn is_of_tree(&self) -> bool {
        self.files.iter().any(|file| file.content.is_of_tree())
    }

    /// What is in the layer, for people: `numpy 1.26.4, six 1.17.0`, or `torch 2.8.0 (1 of 4)`.
    pub fn summary(&self) -> String {
        let name = |package: &Package| match package.layout {
            PackageLayout::DebStatus => format!("status of {} {}", package.name, package.version),
            PackageLayout::Deb(_)
            | PackageLayout::File(_)
            | PackageLayout::MadeWheel(_)
            | PackageLayout::DebAlternatives
            | PackageLayout::DebDatabase
            | PackageLayout::Tarball(_)
            | PackageLayout::Wheel(_) => {
                let part = package.part.map(|part| format!(" ({} of {})", part.number, part.of)).unwrap_or_default();
                format!("{} {}{part}", package.name, package.version)
            }
        };
        let named: Vec<String> = self.packages.iter().map(name).collect();
        let gone = self.files.iter().filter(|file| file.content == PackageContent::Absent).count();
        if named.is_empty() && gone > 0 {
            return format!("without {gone} files of older versions");
        }
        if named.is_empty() {
            let paths: Vec<&str> = self.files.iter().map(|file| file.path.as_str()).collect();
            return paths.join(", ");
        }
        named.join(", ")
    }
}

/// One package: an artifact and how it is laid out.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Package {
    /// Its normalised name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// What its artifact must be.
    pub artifact: ArtifactHash,
    /// How it is unpacked.
    pub layout: PackageLayout,
    /// Which of its files, if it is too large for one layer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<PackagePart>,
}

/// One of the layers that a huge package is unpacked into: together they are the package. Which file is in which is the
/// business of `src/packages/parts.rs`, and follows from the package alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PackagePart {
    /// Which it is; the first is 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
}

/// How an artifact is unpacked: everything but its bytes that the layer depends on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageLayout {
    /// A Debian package.
    Deb(DebLayout),
    /// The artifact as it is, for the step that makes a package of it: absolute path of the file.
    File(String),
    /// A Python wheel that a step makes of the artifact, which is the package's source.
    MadeWheel(MadeWheelLayout),
    /// Which alternatives a Debian package offers, as its script says.
    DebAlternatives,
    /// What dpkg notes of a Debian package that it has unpacked, for a step that then configures it.
    DebDatabase,
    /// What dpkg notes of a Debian package that it has installed, in the place of what it noted of an older version.
    DebStatus,
    /// An npm tarball.
    Tarball(TarballLayout),
    /// A Python wheel.
    Wheel(WheelLayout),
}

impl PackageLayout {
    /// Whether a step makes what is unpacked, and it is not the artifact itself.
    pub fn is_made(&self) -> bool {
        match self {
            Self::MadeWheel(_) => true,
            Self::Deb(_)
            | Self::DebAlternatives
            | Self::DebDatabase
            | Self::DebStatus
            | Self::File(_)
            | Self::Tarball(_)
            | Self::Wheel(_) => false,
        }
    }
}

/// Where the parts of a wheel go that a step makes, and whom it has to do for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MadeWheelLayout {
    /// As of any wheel.
    pub wheel: WheelLayout,
    /// The platform of the image.
    pub platform: Platform,
}

/// What of a Debian package becomes part of the image.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DebLayout {
    /// Whether its documentation does: manuals, changes, examples. Licences always do.
    pub docs: bool,
}

/// Where an npm tarball goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TarballLayout {
    /// Absolute path of the package's folder.
    pub folder: String,
    /// Absolute paths of the folders that get a link to each of its programs.
    pub bin_folders: Vec<String>,
    /// Its programs: a file in its folder for each name. `None` if the lock does not say, and then its `package.json` does.
    pub programs: Option<BTreeMap<String, String>>,
}

/// Where the parts of a wheel go ("Binary distribution format" of the Python packaging specifications).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct WheelLayout {
    /// `purelib` and `platlib`: absolute path of the folder of modules.
    pub site: String,
    /// `scripts`: absolute path of the folder of programs.
    pub scripts: String,
    /// `data`: absolute path of the prefix.
    pub data: String,
    /// `headers`: absolute path of the folder above the package's own.
    pub headers: String,
    /// Absolute path of the interpreter that scripts start, in the image.
    pub interpreter: String,
    /// Whether it was asked for by name, and not only by another package (`REQUESTED`).
    pub requested: bool,
    /// The version of Python whose bytecode comes with the modules, such as `3.11`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytecode: Option<String>,
}

/// A file that a plan makes up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PackageFile {
    /// Absolute path.
    pub path: String,
    /// Permission bits; meaningless for a link.
    pub mode: u32,
    /// What it is.
    pub content: PackageContent,
}

/// What a [`PackageFile`] is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageContent {
    /// A folder.
    Folder,
    /// A file of these bytes.
    Text(String),
    /// A symbolic link to this target.
    Link(String),
    /// Nothing: what is there below is gone.
    Absent,
    /// What is chosen among the alternatives that packages offer: notes about it in this folder, and links elsewhere.
    Alternatives,
    /// The table in which the dynamic loader finds the tree's libraries, for this architecture, by Debian's name.
    LoaderCache(String),
}

impl PackageContent {
    /// Whether it follows from the tree that the file is put on.
    pub fn is_of_tree(&self) -> bool {
        match self {
            Self::Alternatives | Self::LoaderCache(_) => true,
            Self::Folder | Self::Text(_) | Self::Link(_) | Self::Absent => false,
        }
    }
}

/// The hash that a lock gives an artifact, spelled `sha256:<hex>` or `sha512:<hex>`, lower-case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactHash(String);

/// Why a text is no hash of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no hash that is safe to rely on: expected sha256 or sha512, and hexadecimal digits")]
pub struct ArtifactHashError(pub String);

impl ArtifactHash {
    /// Of an algorithm (`sha256` or `sha512`) and hexadecimal digits in either case.
    pub fn new(algorithm: &str, hex: &str) -> Result<Self, ArtifactHashError> {
        format!("{algorithm}:{}", hex.to_ascii_lowercase()).parse()
    }

    /// `sha256` or `sha512`.
    pub fn algorithm(&self) -> &str {
        self.0.split_once(':').map_or("", |(algorithm, _)| algorithm)
    }

    /// The digits.
    pub fn hex(&self) -> &str {
        self.0.split_once(':').map_or("", |(_, hex)| hex)
    }
}

impl FromStr for ArtifactHash {
    type Err = ArtifactHashError;

    fn from_str(text: &str) -> Result<Self, ArtifactHashError> {
        let digits = match text.split_once(':') {
            Some(("sha256", hex)) if hex.len() == 64 => hex,
            Some(("sha512", hex)) if hex.len() == 128 => hex,
            Some(_) | None => return Err(ArtifactHashError(text.to_owned())),
        };
        if digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(ArtifactHashError(text.to_owned()))
        }
    }
}

impl TryFrom<String> for ArtifactHash {
    type Error = ArtifactHashError;

    fn try_from(text: String) -> Result<Self, ArtifactHashError> {
        text.parse()
    }
}

impl From<ArtifactHash> for String {
    fn from(hash: ArtifactHash) -> Self {
        hash.0
    }
}

impl fmt::Display for ArtifactHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_strong_hashes_in_one_spelling() {
        let hex = "AB".repeat(32);
        assert_eq!(ArtifactHash::new("sha256", &hex).unwrap().hex(), "ab".repeat(32));
        for text in ["sha1:00", "md5:00", &format!("sha256:{hex}"), "sha256:../../x", "", &format!("sha512:{hex}")] {
            assert!(text.parse::<ArtifactHash>().is_err(), "{text}");
        }
    }
}
