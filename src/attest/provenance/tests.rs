use super::*;
use crate::{
    context::FetchedDigest,
    image::{BlobDigest, Digest},
};
use flashbuild_frontend::graph::{ExecOp, GitOp, HttpOp, ImageOp, LocalOp, Node, SecretMount, Security};
use serde_json::{Value, json};

const DOCKERFILE: &str = "FROM base\nARG NPM_TOKEN=hunter-2\nRUN make\n";

fn options(mode: ProvenanceMode, version: SlsaVersion) -> ProvenanceOptions {
    ProvenanceOptions { mode, version, builder: None, reproducible: false, started: None }
}

fn node(graph: &mut Graph, op: Op, inputs: Vec<NodeId>) -> NodeId {
    let platform = matches!(op, Op::Image(_) | Op::Exec(_)).then(|| Platform::new("linux", "amd64", None));
    let span = matches!(op, Op::Exec(_)).then(|| {
        let start = DOCKERFILE.find("RUN").unwrap();
        flashbuild_frontend::diagnostic::Span::new(start, start + 8)
    });
    graph.add(Node { op, inputs, platform, name: "a step".to_owned(), span, targets: BTreeSet::new(), fresh: false })
}

/// A step on an image, with a file, a repository and a secret.
fn graph() -> (Graph, NodeId, BTreeMap<NodeId, Commit>) {
    let mut graph = Graph::new(None);
    let digest = format!("sha256:{}", "ab".repeat(32));
    let base =
        node(&mut graph, Op::Image(ImageOp { reference: "docker.io/library/base:1".to_owned(), digest }), vec![]);
    let remote = "https://me:hunter-2@h.example/r.git".to_owned();
    let git = GitOp {
        remote,
        reference: Some("main".to_owned()),
        checksum: None,
        keep_git_dir: false,
        submodules: true,
        fetch_by_commit: false,
    };
    let git = node(&mut graph, Op::Git(git), vec![]);
    let url = "https://h.example/f?token=abc".to_owned();
    let http = node(&mut graph, Op::Http(HttpOp { url, name: "f".to_owned(), checksum: None }), vec![]);
    let local = node(&mut graph, Op::Local(LocalOp { name: "context".to_owned(), exclude: vec![] }), vec![]);
    let secret = SecretMount {
        id: "pass".to_owned(),
        target: None,
        env: Some("PASS".to_owned()),
        required: false,
        mode: 0o400,
        uid: 0,
        gid: 0,
    };
    let exec = ExecOp {
        args: vec!["make".to_owned(), "hunter-2".to_owned()],
        env: vec!["NPM_TOKEN=hunter-2".to_owned(), "MODE=x".to_owned()],
        cwd: "/".to_owned(),
        user: String::new(),
        hostname: None,
        network: Network::None,
        security: Security::Sandbox,
        devices: vec![],
        mounts: vec![Mount::Secret(secret)],
        files: vec![],
        needs: vec![],
        epoch: None,
    };
    let root = node(&mut graph, Op::Exec(Box::new(exec)), vec![base, git, http, local]);
    let commit = Commit { id: "cd".repeat(20), reference: None };
    (graph, root, BTreeMap::from([(git, commit)]))
}

fn read(options: &ProvenanceOptions, fetched: &BTreeMap<String, Fetched>) -> (Value, String) {
    let (graph, root, commits) = graph();
    let mut asked = BuildOptions::for_platform(Platform::new("linux", "amd64", None));
    asked.build_args = BTreeMap::from([("MODE".to_owned(), "x".to_owned()), ("API_KEY".to_owned(), "k3y!".to_owned())]);
    asked.labels = BTreeMap::from([("who".to_owned(), "me".to_owned())]);
    let facts = Facts {
        options,
        graph: &graph,
        root,
        asked: &asked,
        dockerfile: ("Dockerfile", DOCKERFILE),
        fetched,
        commits: &commits,
        downloads: &BTreeMap::new(),
        distribution: None,
    };
    let made = Provenance::of(&facts).unwrap();
    let text = made.predicate().get().to_owned();
    (serde_json::from_str(&text).unwrap(), text)
}

#[test]
fn version_1_tells_what_was_asked_what_went_in_and_what_was_done() {
    let (told, text) = read(&options(ProvenanceMode::Max, SlsaVersion::V1), &BTreeMap::new());
    let definition = &told["buildDefinition"];
    assert_eq!(
        definition["externalParameters"]["request"],
        json!({
            "frontend": "dockerfile.v0",
            "args": {"build-arg:API_KEY": "***", "build-arg:MODE": "x", "label:who": "me"},
            "secrets": [{"id": "pass", "optional": true}],
            "locals": [{"name": "context"}, {"name": "dockerfile"}],
        })
    );
    assert_eq!(
        definition["resolvedDependencies"],
        json!([
            {"uri": "https://h.example/f?token=***"},
            {"uri": "https://h.example/r.git#main", "digest": {"sha1": "cd".repeat(20)}},
            {"uri": "pkg:docker/base@1?platform=linux%2Famd64", "digest": {"sha256": "ab".repeat(32)}},
        ])
    );
    let steps = definition["internalParameters"]["buildConfig"]["steps"].as_array().unwrap();
    assert_eq!(steps[4]["inputs"], json!(["step0:0", "step1:0", "step2:0", "step3:0"]));
    assert_eq!(steps[4]["op"]["exec"]["args"], json!(["make", "***"]));
    assert_eq!(steps[4]["op"]["exec"]["env"], json!(["NPM_TOKEN=***", "MODE=x"]));
    let metadata = &told["runDetails"]["metadata"];
    let range = &metadata["buildkit_metadata"]["source"]["locations"]["step4"]["locations"][0]["ranges"][0];
    assert_eq!(*range, json!({"start": {"line": 3}, "end": {"line": 3}}));
    let data = metadata["buildkit_metadata"]["source"]["infos"][0]["data"].as_str().unwrap();
    let data = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, data).unwrap();
    assert_eq!(String::from_utf8(data).unwrap(), DOCKERFILE.replace("hunter-2", "***"));
    assert_eq!(metadata["buildkit_completeness"], json!({"request": false, "resolvedDependencies": false}));
    assert_eq!(metadata["buildkit_hermetic"], false);
    assert!(metadata.get("startedOn").is_none());
    assert!(!text.contains("hunter") && !text.contains("k3y!") && !text.contains("abc"), "{text}");
}

#[test]
fn little_is_told_where_little_is_asked_for() {
    let (told, _) = read(&options(ProvenanceMode::Min, SlsaVersion::V1), &BTreeMap::new());
    let request = &told["buildDefinition"]["externalParameters"]["request"];
    assert!(request.get("args").is_none() && request.get("secrets").is_none(), "{request}");
    assert!(told["buildDefinition"]["internalParameters"].get("buildConfig").is_none());
    assert!(told["runDetails"]["metadata"].get("buildkit_metadata").is_none());
    assert_eq!(told["buildDefinition"]["resolvedDependencies"].as_array().unwrap().len(), 3);
}

#[test]
fn version_0_2_tells_the_same_in_its_own_words() {
    let mut options = options(ProvenanceMode::Max, SlsaVersion::V02);
    options.builder = Some("https://ci.example/7".to_owned());
    options.started = Some(0);
    let context = Fetched {
        address: "https://me:pass@h.example/a.git#main".to_owned(),
        digest: FetchedDigest::Commit("ef".repeat(20)),
    };
    let file = Fetched {
        address: "https://h.example/Dockerfile".to_owned(),
        digest: FetchedDigest::File(BlobDigest(Digest::of(b"x"))),
    };
    let fetched = BTreeMap::from([("context".to_owned(), context), ("dockerfile".to_owned(), file)]);
    let (told, _) = read(&options, &fetched);
    assert_eq!(told["builder"], json!({"id": "https://ci.example/7"}));
    let config =
        json!({"uri": "https://h.example/a.git#main", "digest": {"sha1": "ef".repeat(20)}, "entryPoint": "Dockerfile"});
    assert_eq!(told["invocation"]["configSource"], config);
    assert_eq!(told["materials"].as_array().unwrap().len(), 5);
    assert_eq!(told["metadata"]["completeness"], json!({"parameters": false, "environment": true, "materials": true}));
    assert_eq!(told["metadata"]["https://mobyproject.org/buildkit@v1#hermetic"], true);
    assert_eq!(told["metadata"]["buildStartedOn"], "1970-01-01T00:00:00Z");
    assert!(told["invocation"]["parameters"].get("locals").is_none());
}
