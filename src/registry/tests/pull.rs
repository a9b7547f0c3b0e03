//! From names to images, and documents that are not what they should be.

use crate::image::{BlobDigest, Descriptor, DescriptorPlatform, MediaType};
use crate::registry::testing::{FakeRegistry, Reply, client, digest, impatient, silent_peer};
use crate::registry::{Client, RegistryError, ResolvedImage};
use serde_json::{Value, json};
use tokio::net::TcpSocket;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

/// What a registry serves, made from the bottom up.
#[derive(Default)]
struct Contents(Vec<(String, Reply)>);

impl Contents {
    fn blob(&mut self, media_type: &str, document: &Value) -> Value {
        let bytes = document.to_string();
        self.0.push((format!("GET /v2/app/blobs/{}", digest(&bytes)), Reply::ok(bytes.clone())));
        json!({"mediaType": media_type, "digest": digest(&bytes), "size": bytes.len()})
    }

    fn document(&mut self, media_type: &str, document: &Value) -> Value {
        let bytes = document.to_string();
        let reply = Reply::ok(bytes.clone()).header("Content-Type", media_type);
        self.0.push((format!("GET /v2/app/manifests/{}", digest(&bytes)), reply));
        json!({"mediaType": media_type, "digest": digest(&bytes), "size": bytes.len()})
    }

    fn image(&mut self, platform: &str, layers: usize, diff_ids: usize) -> Value {
        let (os, architecture) = platform.split_once('/').unwrap();
        let rootfs = json!({"type": "layers", "diff_ids": vec![digest("layer"); diff_ids]});
        let config = self.blob(CONFIG, &json!({"os": os, "architecture": architecture, "rootfs": rootfs}));
        self.manifest(&config, layers)
    }

    fn manifest(&mut self, config: &Value, layers: usize) -> Value {
        let layer = json!({"mediaType": "a/b", "digest": digest("layer"), "size": 5});
        self.document(MANIFEST, &json!({"schemaVersion": 2, "config": config, "layers": vec![layer; layers]}))
    }

    fn index(&mut self, entries: &[Value]) -> Value {
        self.document(INDEX, &json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}))
    }

    /// Names a document `1`.
    fn tag(&mut self, descriptor: &Value) {
        let line = |name: &str| format!("GET /v2/app/manifests/{name}");
        let target = line(descriptor["digest"].as_str().unwrap());
        let reply = self.0.iter().find(|(line, _)| *line == target).unwrap().1.clone();
        self.0.push((line("1"), reply));
    }

    async fn pull(self, platform: &str) -> (Result<ResolvedImage, RegistryError>, Vec<String>) {
        let registry = FakeRegistry::start(self.0).await;
        let image = client(Vec::new()).image(&registry.reference("app:1"), &platform.parse().unwrap()).await;
        (image, registry.lines())
    }
}

fn on(mut descriptor: Value, platform: &str) -> Value {
    descriptor["platform"] = serde_json::to_value(DescriptorPlatform::from(&platform.parse().unwrap())).unwrap();
    descriptor
}

#[tokio::test]
async fn an_index_leads_to_the_image_of_the_platform_by_digest() {
    let mut contents = Contents::default();
    let (amd, arm) = (contents.image("linux/amd64", 1, 1), contents.image("linux/arm64", 2, 2));
    let index = contents.index(&[on(amd, "linux/amd64"), on(arm.clone(), "linux/arm64")]);
    contents.tag(&index);
    let (image, lines) = contents.pull("linux/arm64").await;
    let image = image.unwrap();
    assert_eq!(image.manifest.layers.len(), 2);
    assert_eq!(image.config.architecture, "arm64");
    assert_eq!(image.descriptor.digest.to_string(), arm["digest"].as_str().unwrap());
    assert_eq!(image.index.unwrap().descriptor.digest.to_string(), index["digest"].as_str().unwrap());
    let config = image.manifest.config.digest;
    assert_eq!(
        lines,
        [
            "GET /v2/app/manifests/1".to_owned(),
            format!("GET /v2/app/manifests/{}", image.descriptor.digest),
            format!("GET /v2/app/blobs/{config}")
        ]
    );
}

/// And nothing that is not what its digest says is taken for it.
#[tokio::test]
async fn documents_that_are_known_are_not_asked_for() {
    for (spoiled, asked) in [(false, 0), (true, 2)] {
        let mut contents = Contents::default();
        let amd = contents.image("linux/amd64", 1, 1);
        let index = contents.index(&[on(amd, "linux/amd64")]);
        contents.tag(&index);
        let (reference, platform) = ("app:1", "linux/amd64".parse().unwrap());
        let registry = FakeRegistry::start(contents.0.clone().into_iter().chain(contents.0)).await;
        let (client, reference) = (client(Vec::new()), registry.reference(reference));
        let image = client.image(&reference, &platform).await.unwrap();
        let first = client.resolve(&reference).await.unwrap();
        let before = registry.lines().len();
        let known = |digest: &BlobDigest| {
            let is_config = *digest == image.manifest.config.digest;
            let mut bytes = if is_config { image.config_bytes.to_vec() } else { image.manifest_bytes.to_vec() };
            bytes[0] ^= u8::from(spoiled);
            Some(bytes)
        };
        let again = client.image_of(&reference, &first, &platform, &known).await.unwrap();
        assert_eq!(again.descriptor, image.descriptor);
        assert_eq!(registry.lines().len() - before, asked, "{:?}", registry.lines());
    }
}

#[tokio::test]
async fn indexes_may_lead_to_indexes_but_not_for_ever() {
    for (depth, fits) in [(3, true), (4, false)] {
        let mut contents = Contents::default();
        let other = contents.image("linux/s390x", 0, 0);
        let mut entry = contents.image("linux/amd64", 1, 1);
        for _ in 0..depth {
            entry = contents.index(&[other.clone(), entry]);
        }
        contents.tag(&entry);
        let (image, _) = contents.pull("linux/amd64").await;
        assert_eq!(image.is_ok(), fits, "{depth}: {:?}", image.err());
    }
}

#[tokio::test]
async fn what_there_is_is_said_when_the_platform_is_not() {
    let mut contents = Contents::default();
    let (amd, arm) = (contents.image("linux/amd64", 1, 1), contents.image("linux/arm64", 1, 1));
    let attestation = on(contents.image("unknown/unknown", 1, 1), "unknown/unknown");
    let index = contents.index(&[on(amd, "linux/amd64"), on(arm, "linux/arm64"), attestation]);
    contents.tag(&index);
    let error = contents.pull("linux/riscv64").await.0.unwrap_err().to_string();
    assert!(error.ends_with("app:1 has no image for linux/riscv64; it has linux/amd64, linux/arm64"), "{error}");

    let mut single = Contents::default();
    let amd = single.image("linux/amd64", 1, 1);
    single.tag(&amd);
    let error = single.pull("linux/arm64").await.0.unwrap_err().to_string();
    assert!(error.ends_with("app:1 has no image for linux/arm64; it has linux/amd64"), "{error}");
}

#[tokio::test]
async fn contradictions_between_manifest_and_configuration_are_refused() {
    let mut fewer = Contents::default();
    let image = fewer.image("linux/amd64", 3, 2);
    fewer.tag(&image);

    let mut chart = Contents::default();
    let config = chart.blob("application/vnd.cncf.helm.config.v1+json", &json!({}));
    let manifest = chart.manifest(&config, 1);
    chart.tag(&manifest);

    let mut bomb = Contents::default();
    let manifest = bomb.manifest(&json!({"mediaType": CONFIG, "digest": digest("x"), "size": 100_000_000}), 1);
    bomb.tag(&manifest);

    let mut broken = Contents::default();
    let config = broken.blob(CONFIG, &json!([]));
    let manifest = broken.manifest(&config, 0);
    broken.tag(&manifest);

    for (contents, why) in [
        (fewer, "it has 3 layers, but its configuration knows 2"),
        (chart, "its configuration is application/vnd.cncf.helm.config.v1+json, not that of a container image"),
        (bomb, "the configuration of"),
        (broken, "its configuration is malformed"),
    ] {
        let error = contents.pull("linux/amd64").await.0.unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[tokio::test]
async fn an_entry_that_lies_about_its_document_is_refused() {
    let pull = |change: fn(&mut Value)| async move {
        let mut contents = Contents::default();
        let mut entry = on(contents.image("linux/amd64", 1, 1), "linux/amd64");
        change(&mut entry);
        let index = contents.index(&[entry]);
        contents.tag(&index);
        contents.pull("linux/amd64").await
    };
    let (result, _) = pull(|entry| entry["size"] = json!(1)).await;
    assert!(matches!(result, Err(RegistryError::SizeMismatch { expected: 1, .. })));
    let (result, _) = pull(|entry| entry["mediaType"] = json!(INDEX)).await;
    assert!(matches!(result, Err(RegistryError::Document { .. })));
    let (result, lines) = pull(|entry| entry["size"] = json!(5_000_000)).await;
    assert!(matches!(result, Err(RegistryError::TooLarge { .. })));
    assert_eq!(lines.len(), 1);
    for hostile in ["sha256:../../../x", "sha999:00", "../x"] {
        let mut contents = Contents::default();
        let index = contents.index(&[json!({"mediaType": MANIFEST, "digest": hostile, "size": 1})]);
        contents.tag(&index);
        let (result, lines) = contents.pull("linux/amd64").await;
        assert!(result.unwrap_err().to_string().contains("invalid digest"));
        assert_eq!(lines.len(), 1);
    }
}

async fn resolve(rest: &str, reply: Reply) -> RegistryError {
    let registry =
        FakeRegistry::start([(format!("GET /v2/app/manifests/{}", rest.rsplit(['@', '/']).next().unwrap()), reply)]);
    let registry = registry.await;
    let reference = registry.reference(&rest.replace("app/", "app:"));
    client(Vec::new()).resolve(&reference).await.unwrap_err()
}

#[tokio::test]
async fn documents_that_are_not_what_was_named_are_refused() {
    let bytes = json!({"schemaVersion": 2, "manifests": []}).to_string();
    let other = digest("other");
    let error = resolve("app/1", Reply::ok(bytes.clone()).header("Docker-Content-Digest", &*other)).await;
    assert!(matches!(error, RegistryError::DigestMismatch { .. }), "{error}");
    let error = resolve(&format!("app@{other}"), Reply::ok(bytes.clone())).await;
    assert!(matches!(error, RegistryError::DigestMismatch { .. }), "{error}");
    let error = resolve("app/1", Reply::ok(bytes).header("Docker-Content-Digest", "sha256:../../x")).await;
    assert!(matches!(error, RegistryError::Protocol { .. }), "{error}");
    let both = json!({"schemaVersion": 2, "manifests": [], "config": {}, "layers": []}).to_string();
    let error = resolve("app/1", Reply::ok(both).header("Content-Type", INDEX)).await;
    assert!(error.to_string().ends_with("it is an image manifest and an image index at once"), "{error}");
    let error = resolve("app/1", Reply::ok(vec![b' '; 5 << 20]).unmeasured()).await;
    assert!(matches!(error, RegistryError::TooLarge { .. }), "{error}");
}

#[tokio::test]
async fn what_is_not_there_is_said_to_a_person() {
    let words = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
    let error = resolve("app/1", Reply::ok(words).with_status(404)).await.to_string();
    assert!(
        error.ends_with("app:1 not found: check the name and the tag (MANIFEST_UNKNOWN: manifest unknown)"),
        "{error}"
    );

    // A port that is taken, and on which nobody listens.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = socket.local_addr().unwrap().port();
    let reference = format!("localhost:{free}/app:1").parse().unwrap();
    let error = client(Vec::new()).resolve(&reference).await.unwrap_err().to_string();
    assert_eq!(error, format!("cannot reach registry localhost:{free}: connection refused"));
}

#[tokio::test]
async fn silence_has_an_end() {
    let host = silent_peer().await;
    let client = Client::new(impatient()).unwrap();
    let error = client.resolve(&format!("{host}/app:1").parse().unwrap()).await.unwrap_err().to_string();
    assert_eq!(error, format!("cannot reach registry {host}: silent for 50ms"));
}

async fn described(client: &Client, registry: &FakeRegistry) -> Descriptor {
    client.digest(&registry.reference("app:1")).await.unwrap()
}

#[tokio::test]
async fn a_digest_needs_no_body_where_the_registry_states_it() {
    let bytes = json!({"schemaVersion": 2, "manifests": []}).to_string();
    let expected = Descriptor::of(MediaType::ImageIndex, bytes.as_bytes());
    let client = client(Vec::new());
    let head = Reply::ok(bytes.clone()).header("Content-Type", INDEX);
    let stated = head.clone().header("Docker-Content-Digest", digest(&bytes));
    let registry = FakeRegistry::start([("HEAD /v2/app/manifests/1", stated)]).await;
    assert_eq!(described(&client, &registry).await, expected);

    let silent = [("HEAD /v2/app/manifests/1", head.clone()), ("GET /v2/app/manifests/1", head)];
    let registry = FakeRegistry::start(silent).await;
    assert_eq!(described(&client, &registry).await, expected);
}
