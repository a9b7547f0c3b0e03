//! An archive of Debian packages of the test's own: made by dpkg, signed by `gpg`, read by apt.

use super::{Invocation, Run, peer, skip};
use flashbuild::image::Digest;
use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};
use tempfile::TempDir;

/// A signed archive in a folder, and a configuration of apt that knows it and nothing else.
pub(crate) struct DebianArchive {
    dir: TempDir,
    packages: Vec<String>,
    architectures: Vec<String>,
}

impl DebianArchive {
    /// An empty one; nothing if a tool is missing.
    pub(crate) fn new(architectures: &[&str]) -> Option<Self> {
        for tool in ["apt-get", "dpkg-deb", "gpg", "gpgv"] {
            peer(tool)?;
        }
        let dir = tempfile::Builder::new().prefix("flashbuild-archive-").tempdir().expect("a temporary folder");
        let archive =
            Self { dir, packages: Vec::new(), architectures: architectures.iter().map(ToString::to_string).collect() };
        for name in ["gnupg", "archive/dists/stable", "archive/pool", "apt/sources.list.d", "apt/apt.conf.d"] {
            fs::create_dir_all(archive.path(name)).unwrap();
        }
        fs::set_permissions(archive.path("gnupg"), fs::Permissions::from_mode(0o700)).unwrap();
        let user = "Test <test@example.com>";
        archive.gpg(&["--quick-generate-key", user, "ed25519", "sign", "never"]);
        fs::write(archive.path("apt/key.asc"), archive.gpg(&["--armor", "--export"]).stdout).unwrap();
        archive.configure(&format!(
            "Types: deb\nURIs: file:{}\nSuites: stable\nComponents: main\nSigned-By: {}\n",
            archive.path("archive").display(),
            archive.path("apt/key.asc").display()
        ));
        fs::write(archive.path("apt.conf"), format!("Dir::Etc \"{}\";\n", archive.path("apt").display())).unwrap();
        Some(archive)
    }

    /// Value of `APT_CONFIG` for which this is the host's configuration.
    pub(crate) fn apt_config(&self) -> String {
        self.path("apt.conf").display().to_string()
    }

    /// Something of the archive.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Says where apt finds packages.
    pub(crate) fn configure(&self, sources: &str) {
        fs::write(self.path("apt/sources.list.d/test.sources"), sources).unwrap();
    }

    /// Adds a package with these files (path, content) and links (path, `-> ` target). `fields` are further lines of its
    /// control file; `compression` is one of dpkg's.
    pub(crate) fn add(
        &mut self,
        name: &str,
        version: &str,
        architecture: &str,
        compression: &str,
        fields: &str,
        files: &[(&str, &str)],
    ) {
        let tree = self.path("tree");
        let control = format!(
            "Package: {name}\nVersion: {version}\nArchitecture: {architecture}\nMaintainer: Test <test@example.com>\n\
             {fields}Description: {name}\n for a test\n"
        );
        fs::create_dir_all(tree.join("DEBIAN")).unwrap();
        fs::write(tree.join("DEBIAN/control"), &control).unwrap();
        for (path, content) in files {
            let path = tree.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            if let Some(target) = content.strip_prefix("-> ") {
                symlink(target, path).unwrap();
            } else {
                let mode = if content.starts_with("#!") { 0o755 } else { 0o644 };
                fs::write(&path, content).unwrap();
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        let file = format!("pool/{name}_{version}_{architecture}.deb");
        let out = self.path("archive").join(&file);
        let mut build = Command::new("dpkg-deb");
        build.args(["--root-owner-group", &format!("-Z{compression}"), "--build"]).arg(&tree).arg(&out);
        succeed(&mut build);
        fs::remove_dir_all(tree).unwrap();
        let bytes = fs::read(&out).unwrap();
        let digest = Digest::of(&bytes).hex();
        self.packages.push(format!("{control}Filename: {file}\nSize: {}\nSHA256: {digest}\n", bytes.len()));
    }

    /// Writes the indexes and signs them.
    pub(crate) fn publish(&self) {
        let suite = self.path("archive/dists/stable");
        let mut release = format!(
            "Origin: Test\nSuite: stable\nCodename: stable\nDate: {}\nArchitectures: {}\nComponents: main\nSHA256:\n",
            now(),
            self.architectures.join(" ")
        );
        for architecture in &self.architectures {
            let of = |package: &&String| {
                let has = |name: &str| package.contains(&format!("\nArchitecture: {name}\n"));
                has(architecture) || has("all")
            };
            let packages: Vec<&str> = self.packages.iter().filter(of).map(String::as_str).collect();
            let index = packages.join("\n");
            let name = format!("main/binary-{architecture}/Packages");
            fs::create_dir_all(suite.join(&name).parent().unwrap()).unwrap();
            fs::write(suite.join(&name), &index).unwrap();
            let _ = writeln!(release, " {} {} {name}", Digest::of(index.as_bytes()).hex(), index.len());
        }
        fs::write(suite.join("Release"), release).unwrap();
        let _ = fs::remove_file(suite.join("InRelease"));
        let (release, signed) = (suite.join("Release"), suite.join("InRelease"));
        self.gpg(&["--clear-sign", "--output", signed.to_str().unwrap(), release.to_str().unwrap()]);
    }

    fn gpg(&self, arguments: &[&str]) -> Output {
        let mut gpg = Command::new("gpg");
        gpg.args(["--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"]).args(arguments);
        succeed(gpg.env("GNUPGHOME", self.path("gnupg")))
    }
}

impl Drop for DebianArchive {
    /// `gpg` leaves an agent behind, which would look for its folder.
    fn drop(&mut self) {
        let mut kill = Command::new("gpgconf");
        let _ = kill.args(["--kill", "gpg-agent"]).env("GNUPGHOME", self.path("gnupg")).status();
    }
}

/// The time as `Release` files have it.
fn now() -> String {
    let output = succeed(Command::new("date").args(["--utc", "--rfc-email"]).env("LC_ALL", "C"));
    String::from_utf8(output.stdout).unwrap().trim().replace("+0000", "UTC")
}

fn succeed(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Unpacks a package the way dpkg does on a system with merged `/usr`.
pub(crate) fn dpkg_unpack(package: &Path, root: &Path) {
    let mut list = Command::new("dpkg-deb").arg("--fsys-tarfile").arg(package).stdout(Stdio::piped()).spawn().unwrap();
    let mut tar = Command::new("tar");
    tar.args(["-x", "-p", "--keep-directory-symlink", "--numeric-owner", "-C"]).arg(root);
    let status = tar.stdin(list.stdout.take().unwrap()).status().unwrap();
    assert!(status.success() && list.wait().unwrap().success(), "{}", package.display());
}

/// A store that stays between runs of the tests: what the host's archive of packages has takes longer to fetch than all
/// else.
pub(crate) const DEBIAN_STORE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/debian-store");

/// Runs a build that takes packages from the host's archive; nothing if that is out of reach.
pub(crate) fn with_debian(build: &Invocation<'_>) -> Option<Run> {
    let run = build.run();
    if run.code == Some(3) && run.stderr.contains("DEPS apt") {
        skip(&format!("the host's archive of packages is out of reach: {}", run.stderr));
        return None;
    }
    assert_eq!(run.code, Some(0), "{}", run.raw);
    Some(run)
}
