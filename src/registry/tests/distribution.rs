//! Against `docker-registry`, with and without a password, and read back by `skopeo`.
//!
//! Tests whose programs are not installed say so and pass.

use crate::image::{Descriptor, Index, Manifest, MediaType};
use crate::registry::testing::{FakeRegistry, Reply, client, options};
use crate::registry::{BlobSource, Client, Options, PushOutcome};
use flashbuild_frontend::config::ImageConfig;
use flashbuild_frontend::platform::Platform;
use flashbuild_frontend::reference::Reference;
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{fs, io};
use tempfile::TempDir;

/// `me:open sesame`, hashed with bcrypt as the registry wants it.
const HTPASSWD: &str = "me:$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy\n";
/// The same for a client's configuration.
const AUTH: &str = "bWU6b3BlbiBzZXNhbWU=";

/// Who may talk to the registry, and how.
#[derive(Clone, Copy)]
enum Access {
    Open,
    Password,
    Tls,
}

/// A running registry; it ends with its value.
struct Distribution {
    process: Child,
    folder: TempDir,
    host: String,
}

impl Drop for Distribution {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Distribution {
    /// `None` if it is not installed.
    fn start(access: Access) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::write(root.join("htpasswd"), HTPASSWD).unwrap();
        let (path, data) = (|name: &str| root.join(name).display().to_string(), root.join("data"));
        let (tls, auth) = match access {
            Access::Open => (String::new(), String::new()),
            Access::Password => {
                (String::new(), format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", path("htpasswd")))
            }
            Access::Tls => {
                if !certify(root) {
                    skip("openssl");
                    return None;
                }
                (format!(", tls: {{certificate: {}, key: {}}}", path("cert.pem"), path("key.pem")), String::new())
            }
        };
        let config = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: 127.0.0.1:0{tls}}}\n{auth}",
            data.display()
        );
        fs::write(root.join("config.yml"), config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(root.join("config.yml")).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = match command.spawn() {
            Ok(process) => process,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                skip("docker-registry");
                return None;
            }
            Err(error) => panic!("docker-registry: {error}"),
        };
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        // The kernel chose the port; the registry says which, before it accepts.
        let address = |line: String| {
            let (_, rest) = line.split_once("listening on ")?;
            rest.split([',', '"']).next().map(str::to_owned)
        };
        let host = log.find_map(address).expect("docker-registry says where it listens");
        // A full pipe would stop it.
        std::thread::spawn(move || log.for_each(drop));
        Some(Self { process, folder, host })
    }

    fn reference(&self, rest: &str) -> Reference {
        format!("{}/{rest}", self.host).parse().unwrap()
    }

    /// A configuration file that knows the password.
    fn credentials(&self) -> PathBuf {
        let file = self.folder.path().join("config.json");
        fs::write(&file, format!(r#"{{"auths":{{"{}":{{"auth":"{AUTH}"}}}}}}"#, self.host)).unwrap();
        file
    }

    /// Copies an image with skopeo, and reads what it wrote.
    fn copy(&self, rest: &str) -> Option<PathBuf> {
        let target = self.folder.path().join("copy");
        let mut command = Command::new("skopeo");
        command.args(["--insecure-policy", "copy", "--all", "--src-tls-verify=false", "--authfile"]);
        command.arg(self.credentials()).arg(format!("docker://{}/{rest}", self.host));
        command.arg(format!("dir:{}", target.display()));
        let Ok(output) = command.output() else {
            skip("skopeo");
            return None;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Some(target)
    }
}

#[allow(clippy::print_stderr)] // a test's own words, which the harness shows
fn skip(program: &str) {
    eprintln!("skipped: {program} is not installed");
}

/// Makes `cert.pem` and `key.pem` for 127.0.0.1, if openssl is installed.
fn certify(folder: &Path) -> bool {
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"]);
    command.args(["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]);
    command.args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "cert.pem"]);
    command.current_dir(folder).output().is_ok_and(|output| output.status.success())
}

/// An image of one layer, with an index around it.
struct Image {
    blobs: Vec<(Descriptor, BlobSource)>,
    manifest: Vec<u8>,
    index: Vec<u8>,
}

fn image() -> Image {
    let layer = vec![0; 1024 * 1024];
    let mut config = ImageConfig::for_platform(&platform());
    config.rootfs.diff_ids = vec![crate::image::Digest::of(&layer).to_string()];
    let config = serde_json::to_vec(&config).unwrap();
    let layer_descriptor = Descriptor::of(MediaType::ImageLayer, &layer);
    let config_descriptor = Descriptor::of(MediaType::ImageConfig, &config);
    let manifest = serde_json::to_vec(&Manifest {
        schema_version: 2,
        media_type: Some(MediaType::ImageManifest),
        config: config_descriptor.clone(),
        layers: vec![layer_descriptor.clone()],
        annotations: BTreeMap::new(),
        other: BTreeMap::new(),
    })
    .unwrap();
    let index = serde_json::to_vec(&Index {
        schema_version: 2,
        media_type: Some(MediaType::ImageIndex),
        manifests: vec![Descriptor::of(MediaType::ImageManifest, &manifest).with_platform(&platform())],
        annotations: BTreeMap::new(),
        other: BTreeMap::new(),
    })
    .unwrap();
    let blobs = vec![
        (layer_descriptor, BlobSource::Bytes(layer.into())),
        (config_descriptor, BlobSource::Bytes(config.into())),
    ];
    Image { blobs, manifest, index }
}

fn platform() -> Platform {
    "linux/amd64".parse().unwrap()
}

async fn push(client: &Client, reference: &Reference, image: &Image, mount_from: Option<&str>) -> Vec<PushOutcome> {
    let mut outcomes = Vec::new();
    for (descriptor, source) in &image.blobs {
        outcomes.push(client.push_blob(reference, descriptor, source, mount_from, &|_| ()).await.unwrap());
    }
    let digest = crate::image::Digest::of(&image.manifest).to_string();
    let repository = format!("{}/{}@{digest}", reference.host(), reference.path()).parse().unwrap();
    client.push_manifest(&repository, &MediaType::ImageManifest, image.manifest.clone().into()).await.unwrap();
    client.push_manifest(reference, &MediaType::ImageIndex, image.index.clone().into()).await.unwrap();
    outcomes
}

#[tokio::test]
async fn a_pushed_image_comes_back_and_is_not_sent_twice() {
    let Some(registry) = Distribution::start(Access::Open) else { return };
    let (client, reference, image) = (client(Vec::new()), registry.reference("team/app:1"), image());
    let sizes: Vec<_> = image.blobs.iter().map(|(blob, _)| PushOutcome::Uploaded { bytes: blob.size }).collect();
    assert_eq!(push(&client, &reference, &image, None).await, sizes);

    let before = client.traffic();
    assert_eq!(push(&client, &reference, &image, None).await, [PushOutcome::Existed; 2]);
    let elsewhere = registry.reference("team/other:1");
    assert_eq!(push(&client, &elsewhere, &image, Some("team/app")).await, [PushOutcome::Mounted; 2]);
    assert_eq!(client.traffic().blob_bytes_sent, before.blob_bytes_sent);

    let pulled = client.image(&reference, &platform()).await.unwrap();
    assert_eq!(pulled.manifest_bytes, image.manifest);
    assert_eq!(pulled.index.unwrap().bytes, image.index);
    let layer = &pulled.manifest.layers[0];
    let mut sink = Vec::new();
    client.fetch_blob(&reference, layer, &mut sink, &|_| ()).await.unwrap();
    assert_eq!(sink, vec![0; 1024 * 1024]);
    assert_eq!(client.digest(&reference).await.unwrap(), Descriptor::of(MediaType::ImageIndex, &image.index));

    if let Some(copy) = registry.copy("team/app:1") {
        assert_eq!(fs::read(copy.join("manifest.json")).unwrap(), image.index);
        assert_eq!(fs::read(copy.join(layer.digest.hex())).unwrap(), sink);
    }
}

#[tokio::test]
async fn a_password_opens_a_closed_registry() {
    let Some(registry) = Distribution::start(Access::Password) else { return };
    let (reference, image) = (registry.reference("app:1"), image());
    let stranger = client(Vec::new());
    let error = stranger.resolve(&reference).await.unwrap_err().to_string();
    assert!(error.contains(&format!("log in with `flashbuild login {}`", registry.host)), "{error}");

    let friend = client(vec![registry.credentials()]);
    push(&friend, &reference, &image, None).await;
    assert_eq!(friend.image(&reference, &platform()).await.unwrap().manifest_bytes, image.manifest);
    if let Some(copy) = registry.copy("app:1") {
        assert_eq!(fs::read(copy.join("manifest.json")).unwrap(), image.index);
    }
}

#[tokio::test]
async fn a_tag_that_is_not_there_is_named() {
    let Some(registry) = Distribution::start(Access::Open) else { return };
    let error = client(Vec::new()).resolve(&registry.reference("app:none")).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}/app:none not found: check the name and the tag", registry.host)), "{error}");
}

#[tokio::test]
async fn a_certificate_is_trusted_when_its_authority_is_named() {
    let Some(registry) = Distribution::start(Access::Tls) else { return };
    // Loopback itself is spoken to over plain HTTP, so a redirect leads there.
    let redirect = Reply::new(307).header("Location", format!("https://{}/v2/app/manifests/1", registry.host));
    let entrance = FakeRegistry::start([("GET /v2/app/manifests/1", redirect)]).await;
    let reference = entrance.reference("app:1");

    let error = client(Vec::new()).resolve(&reference).await.unwrap_err().to_string();
    assert!(error.contains("its certificate is not trusted"), "{error}");
    assert!(error.contains("--ca-certificates"), "{error}");

    let ca_certificates = vec![registry.folder.path().join("cert.pem")];
    let trusting = Client::new(Options { ca_certificates, ..options(Vec::new()) }).unwrap();
    let error = trusting.resolve(&reference).await.unwrap_err().to_string();
    assert!(error.contains("app:1 not found"), "{error}");

    let ca_certificates = vec![registry.folder.path().join("absent.pem")];
    let error = Client::new(Options { ca_certificates, ..options(Vec::new()) }).err().unwrap().to_string();
    assert!(error.contains("absent.pem"), "{error}");
}
