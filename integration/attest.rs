//! What is said of images: SBOM, provenance, where they are, and what others make of it.

use crate::deps_python::Project;
use crate::harness::{
    BUSYBOX, DebianArchive, Dockerd, EPOCH, Layout, Registry, Run, Served, Workspace, native_platform, peer, skip,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use flashbuild::solver::event::{Hit, Outcome};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Command,
};

const SPDX: &str = "https://spdx.dev/Document";
const SLSA: &str = "https://slsa.dev/provenance/v1";

/// A small image with a package of each of two kinds.
fn workspace() -> Workspace {
    let work = Workspace::new("FROM scratch\nCOPY root /\nLABEL who=me\n");
    work.file("root/etc/os-release", "ID=debian\nVERSION_ID=\"12\"\n")
        .file(
            "root/var/lib/dpkg/status",
            "Package: g++\nStatus: install ok installed\nArchitecture: amd64\nVersion: 4:12.2-3\n",
        )
        .file(
            "root/app/node_modules/@scope/name/package.json",
            r#"{"name":"@scope/name","version":"1.0.0","license":"(MIT OR Apache-2.0)"}"#,
        );
    work
}

#[track_caller]
fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A JSON file, or a blob of a layout.
fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).unwrap()
}

fn blob(layout: &Path, digest: &Value) -> PathBuf {
    layout.join("blobs").join(digest.as_str().expect("a digest").replace(':', "/"))
}

/// The index of the only image of a layout.
fn index(layout: &Path) -> Value {
    json(&blob(layout, &json(&layout.join("index.json"))["manifests"][0]["digest"]))
}

/// The statements of a layout, by the type of what they say.
fn statements(layout: &Path) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for entry in index(layout)["manifests"].as_array().unwrap() {
        let manifest = json(&blob(layout, &entry["digest"]));
        for layer in manifest["layers"].as_array().unwrap() {
            if layer["mediaType"] == "application/vnd.in-toto+json" {
                let name = layer["annotations"]["in-toto.io/predicate-type"].as_str().unwrap().to_owned();
                found.push((name, json(&blob(layout, &layer["digest"]))));
            }
        }
    }
    found
}

fn said(layout: &Path, predicate_type: &str) -> Value {
    let mut all = statements(layout).into_iter().filter(|(found, _)| found == predicate_type);
    all.next().unwrap_or_else(|| panic!("no {predicate_type}")).1["predicate"].clone()
}

/// Package URLs that a document in SPDX names, but for the image's own.
fn purls(spdx: &Value) -> BTreeSet<String> {
    let packages = spdx["packages"].as_array().unwrap().iter().filter(|package| package["SPDXID"] != "SPDXRef-Image");
    packages.filter_map(|it| Some(it["externalRefs"][0]["referenceLocator"].as_str()?.to_owned())).collect()
}

/// How a step ended that is no vertex.
fn listed(run: &Run) -> Vec<&Outcome> {
    run.ended("list packages")
}

#[test]
fn attestations_are_laid_out_as_buildkit_does() {
    let work = workspace();
    let layout = work.path("out");
    let platforms = ["--platform", "linux/amd64,linux/arm64"];
    let outputs = ["-o", "type=oci,dest=../out,tar=false", "-t", "example.org/app:1"];
    let said = ["--sbom", "--provenance=mode=max"];
    let built = work.build(&[&platforms[..], &outputs, &said].concat()).epoch(EPOCH).succeeds();
    Layout::verified(&layout);

    let entries = index(&layout)["manifests"].as_array().unwrap().clone();
    assert_eq!(entries.len(), 4);
    for (image, attestation, platform) in
        [(&entries[0], &entries[2], "linux%2Famd64"), (&entries[1], &entries[3], "linux%2Farm64")]
    {
        assert_eq!(attestation["platform"], json!({"architecture": "unknown", "os": "unknown"}));
        let annotations = json!({
            "vnd.docker.reference.digest": image["digest"], "vnd.docker.reference.type": "attestation-manifest"
        });
        assert_eq!(attestation["annotations"], annotations);
        let manifest = json(&blob(&layout, &attestation["digest"]));
        let config = json(&blob(&layout, &manifest["config"]["digest"]));
        assert_eq!((&config["os"], &config["architecture"]), (&json!("unknown"), &json!("unknown")));
        let layers: Vec<_> = manifest["layers"].as_array().unwrap().iter().map(|layer| &layer["annotations"]).collect();
        let typed = |name| json!({"in-toto.io/predicate-type": name});
        assert_eq!(layers, [&typed(SPDX), &typed(SLSA)]);
        for layer in manifest["layers"].as_array().unwrap() {
            let statement = json(&blob(&layout, &layer["digest"]));
            assert_eq!(statement["_type"], "https://in-toto.io/Statement/v0.1");
            let hex = image["digest"].as_str().unwrap().trim_start_matches("sha256:");
            let subject = json!([{
                "name": format!("pkg:docker/example.org/app@1?platform={platform}"), "digest": {"sha256": hex}
            }]);
            assert_eq!(statement["subject"], subject);
        }
    }
    let spdx = &statements(&layout)[0].1["predicate"];
    assert_eq!(spdx["creationInfo"]["created"], "2023-11-14T22:13:20Z");
    let found = ["pkg:deb/debian/g%2B%2B@4:12.2-3?arch=amd64&distro=debian-12", "pkg:npm/%40scope/name@1.0.0"];
    assert_eq!(purls(spdx), found.map(str::to_owned).into());

    // The metadata file tells, by buildx's names.
    let told = &built.metadata()["buildx.build.provenance/linux/arm64"];
    assert_eq!(told["buildDefinition"]["externalParameters"]["configSource"]["path"], "Dockerfile");
    let only = work.build(&["-t", "app", "--provenance"]).succeeds();
    assert!(only.metadata()["buildx.build.provenance"].is_object());
    assert!(only.metadata()["containerimage.config.digest"].is_string());
}

#[test]
fn equal_builds_say_equal_things_and_look_once() {
    let work = workspace();
    let build = |store, name: &str, more: &[&str]| {
        let out = format!("type=oci,dest={},tar=false", work.path(name).display());
        work.build(&[&["--sbom=cyclonedx", "--provenance=mode=max", "-o", &out], more].concat()).store(store).succeeds()
    };
    let first = build("one", "first", &[]);
    let second = build("two", "second", &[]);
    assert_eq!(first.digest(), second.digest());
    assert_eq!(work.read("first/index.json"), work.read("second/index.json"));
    assert_eq!((listed(&first), listed(&second)), (vec![&Outcome::Ran], vec![&Outcome::Ran]));

    let again = build("one", "again", &[]);
    assert_eq!(again.digest(), first.digest());
    assert_eq!(listed(&again), [&Outcome::Cached(Hit::Content)]);
    assert!(again.vertices().all(|(_, outcome)| matches!(outcome, Outcome::Cached(_))));
    // Another configuration is another image of the same packages.
    let other = build("one", "other", &["--label", "a=b"]);
    assert_ne!(other.digest(), first.digest());
    assert_eq!(listed(&other), [&Outcome::Cached(Hit::Content)]);
    // Who asks for nothing gets what there always was.
    let plain = work.build(&["-o", "type=oci,dest=../plain,tar=false"]).store("one").succeeds();
    let entry = &json(&work.path("plain/index.json"))["manifests"][0];
    assert_eq!(entry["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(plain.metadata().get("buildx.build.provenance"), None);
}

#[test]
fn an_sbom_names_what_dpkg_names() {
    let Some(mut dpkg) = peer("dpkg-query") else { return };
    let format = "${db:Status-Status} ${Package} ${Version} ${Architecture}\n";
    let listed = succeeds(dpkg.args(["-W", "-f", format]));
    let work = Workspace::new("FROM scratch\nCOPY status /var/lib/dpkg/status\nCOPY os-release /etc/\n");
    work.file("status", fs::read("/var/lib/dpkg/status").unwrap()).file("os-release", "ID=debian\nVERSION_ID=12\n");
    work.build(&["--sbom", "-o", "type=oci,dest=../out,tar=false"]).succeeds();

    let spdx = said(&work.path("out"), SPDX);
    let packages = spdx["packages"].as_array().unwrap().iter().filter(|it| it["primaryPackagePurpose"] == "LIBRARY");
    let found: BTreeSet<String> = packages
        .map(|package| {
            let purl = package["externalRefs"][0]["referenceLocator"].as_str().unwrap();
            assert!(purl.starts_with("pkg:deb/debian/") && purl.ends_with("&distro=debian-12"), "{purl}");
            let arch = purl.split(['?', '&']).find_map(|part| part.strip_prefix("arch=")).unwrap();
            format!("{} {} {arch}", package["name"].as_str().unwrap(), package["versionInfo"].as_str().unwrap())
        })
        .collect();
    let expected: BTreeSet<String> =
        listed.lines().filter_map(|line| Some(line.strip_prefix("installed ")?.to_owned())).collect();
    assert!(expected.len() > 50, "{expected:?}");
    assert_eq!(found, expected);
}

#[test]
fn an_sbom_names_what_pip_names_and_knows_its_wheels() {
    let mut project =
        Project::new("FROM scratch\nDEPS python --python=/usr/bin/python3.11 --find-links=wheels requirements.txt\n");
    project.wheel("first", "1.0", "py3-none-any").wheel("second_one", "2.1", "py3-none-any");
    let work = &project.work;
    work.build(&["--sbom", "--provenance", "-o", "type=oci,dest=../out,tar=false", "-o", "../tree"]).succeeds();
    let spdx = said(&work.path("out"), SPDX);
    let hash = |name: &str| {
        let bytes = fs::read(work.path(format!("context/wheels/{name}-py3-none-any.whl"))).unwrap();
        flashbuild::image::Digest::of(&bytes).hex()
    };
    let package = |name: &str| {
        let packages = spdx["packages"].as_array().unwrap();
        packages.iter().find(|package| package["name"] == name).unwrap_or_else(|| panic!("no {name}: {packages:?}"))
    };
    let checksum = json!([{"algorithm": "SHA256", "checksumValue": hash("first-1.0")}]);
    assert_eq!(package("first")["checksums"], checksum);
    assert_eq!(package("second_one")["externalRefs"][0]["referenceLocator"], "pkg:pypi/second-one@2.1");
    let materials = &said(&work.path("out"), SLSA)["buildDefinition"]["resolvedDependencies"];
    let wheel = json!({"uri": "pkg:pypi/first@1.0", "digest": {"sha256": hash("first-1.0")}});
    assert!(materials.as_array().unwrap().contains(&wheel), "{materials}");
    // The files have the documents beside them.
    assert_eq!(json(&work.path("tree/sbom.spdx.json"))["predicateType"], SPDX);
    assert_eq!(json(&work.path("tree/provenance.json"))["predicateType"], SLSA);

    let found = glob(&work.path("tree/opt/venv/lib"), "site-packages");
    let pip = Command::new("python3").args(["-m", "pip", "list", "--format=json", "--path"]).arg(found).output();
    let Some(pip) = pip.ok().filter(|pip| pip.status.success()) else { return skip("pip is not installed") };
    let pip: Vec<Value> = serde_json::from_slice(&pip.stdout).unwrap();
    let text = |value: &Value, key: &str| value[key].as_str().unwrap().replace('_', "-");
    let by_pip: BTreeSet<_> = pip.iter().map(|it| (text(it, "name"), text(it, "version"))).collect();
    let libraries = spdx["packages"].as_array().unwrap().iter().filter(|it| it["primaryPackagePurpose"] == "LIBRARY");
    let by_us: BTreeSet<_> = libraries.map(|it| (text(it, "name"), text(it, "versionInfo"))).collect();
    assert_eq!(by_us, by_pip);
}

/// The folder called `name` below another.
fn glob(below: &Path, name: &str) -> PathBuf {
    let mut entries = fs::read_dir(below).unwrap().map(|entry| entry.unwrap().path());
    entries.find_map(|entry| Some(entry.join(name)).filter(|path| path.is_dir())).expect("it is there")
}

#[test]
fn packages_of_debian_are_known_by_their_archive() {
    let Some(mut archive) = DebianArchive::new(&["amd64"]) else { return };
    archive.add("greeting", "1:2.0-1", "amd64", "xz", "", &[("usr/bin/greeting", "hello\n")]);
    let release = [("usr/lib/os-release", "ID=test\nVERSION_ID=7\n"), ("etc/os-release", "-> ../usr/lib/os-release")];
    archive.add("base-files", "1", "amd64", "gzip", "", &release);
    archive.publish();
    let work = Workspace::new("FROM scratch\nDEPS apt greeting\n");
    let arguments = ["--platform", "linux/amd64", "--sbom", "--provenance", "-o", "type=oci,dest=../out,tar=false"];
    work.build(&arguments).variable("APT_CONFIG", archive.apt_config()).succeeds();
    let spdx = said(&work.path("out"), SPDX);
    let expected = [
        "pkg:deb/test/base-files@1?arch=amd64&distro=test-7",
        "pkg:deb/test/greeting@1:2.0-1?arch=amd64&distro=test-7",
    ];
    assert_eq!(purls(&spdx), expected.map(str::to_owned).into());
    let materials = said(&work.path("out"), SLSA)["buildDefinition"]["resolvedDependencies"].clone();
    let uris: Vec<_> = materials.as_array().unwrap().iter().map(|it| it["uri"].as_str().unwrap()).collect();
    assert_eq!(uris, ["pkg:deb/test/base-files@1?distro=test-7", "pkg:deb/test/greeting@1:2.0-1?distro=test-7"]);
    let greetings = spdx["packages"].as_array().unwrap().iter().filter(|package| package["name"] == "greeting");
    let hashes: Vec<_> = greetings.map(|package| &package["checksums"][0]["checksumValue"]).collect();
    assert_eq!(hashes, [&materials[1]["digest"]["sha256"]]);
}

#[test]
fn no_secret_is_told() {
    let dockerfile = format!(
        "{BUSYBOX}FROM busybox\nARG NPM_TOKEN\nARG MODE\n\
         RUN --mount=type=secret,id=pass,env=PASS echo \"$MODE $NPM_TOKEN $PASS\" | sha256sum > /sum\n"
    );
    let Some(work) = Workspace::with_busybox(&[native_platform()], &dockerfile) else { return };
    let (argument, secret) = ("tok/en value", "correct+horse battery");
    let arguments =
        ["--provenance=mode=max", "--sbom", "--secret", "id=pass,env=PASS", "-o", "type=oci,dest=../out,tar=false"];
    let token = format!("NPM_TOKEN={argument}");
    let run = work.build(&[&arguments[..], &["--build-arg", &token, "--build-arg", "MODE=x"]].concat());
    let run = run.variable("PASS", secret).succeeds();

    let provenance = said(&work.path("out"), SLSA);
    let request = &provenance["buildDefinition"]["externalParameters"]["request"];
    assert_eq!(request["args"], json!({"build-arg:MODE": "x", "build-arg:NPM_TOKEN": "***"}));
    assert_eq!(request["secrets"], json!([{"id": "pass", "optional": true}]));
    assert_eq!(provenance["runDetails"]["metadata"]["buildkit_completeness"]["request"], false);
    let source =
        provenance["runDetails"]["metadata"]["buildkit_metadata"]["source"]["infos"][0]["data"].as_str().unwrap();
    assert_eq!(STANDARD.decode(source).unwrap(), dockerfile.as_bytes());

    let spellings = |value: &str| {
        let percent = value.replace('/', "%2F").replace('+', "%2B").replace(' ', "%20");
        [value.to_owned(), STANDARD.encode(value), percent]
    };
    let has = |bytes: &[u8], value: &str| {
        spellings(value).iter().any(|it| bytes.windows(it.len()).any(|window| window == it.as_bytes()))
    };
    for entry in fs::read_dir(work.path("out/blobs/sha256")).unwrap() {
        let bytes = fs::read(entry.unwrap().path()).unwrap();
        assert!(!has(&bytes, secret), "the secret is in a blob");
    }
    // An argument is in the history of the image, as everywhere; it is in nothing that is said of it.
    for (what, statement) in statements(&work.path("out")) {
        assert!(!has(&serde_json::to_vec(&statement).unwrap(), argument), "the argument is in {what}");
    }
    let told = run.metadata()["buildx.build.provenance"].to_string();
    assert!(!told.is_empty() && !has(told.as_bytes(), argument));
}

#[test]
fn others_find_the_image_among_what_is_said_of_it() {
    let work = workspace();
    let served = Served::start(&work, "served", &["--read-write"]);
    let name = served.name("app:1");
    let both = ["--platform", "linux/amd64,linux/arm64", "-t", &name, "--push", "--sbom", "--provenance"];
    let built = work.build(&both).succeeds();
    let again = work.build(&both).succeeds();
    assert_eq!(built.digest(), again.digest());

    if let Some(mut skopeo) = peer("skopeo") {
        let image = format!("docker://{name}");
        let flags = ["--tls-verify=false", "--override-arch", "arm64"];
        let found: Value = serde_json::from_str(&succeeds(skopeo.arg("inspect").args(flags).arg(&image))).unwrap();
        assert_eq!((&found["Architecture"], &found["Labels"]["who"]), (&json!("arm64"), &json!("me")));
        let copied = format!("oci:{}", work.path("copied").display());
        let copy = ["copy", "--all", "--preserve-digests", "--src-tls-verify=false", &image, &copied];
        succeeds(Command::new("skopeo").args(copy));
        Layout::verified(&work.path("copied"));
        assert_eq!(statements(&work.path("copied")).len(), 4);
    }
    // Ours: a build on it, its files, and what is said of it.
    let child = Workspace::new(&format!("FROM {name}\nCOPY more /more\n"));
    child.file("more", "more\n");
    child.build(&["--platform", "linux/arm64", "-o", "../out"]).succeeds();
    assert!(child.path("out/etc/os-release").exists());
    child.flashbuild("pull", &[&name]).succeeds();
    let shown: Value = serde_json::from_str(&child.flashbuild("inspect", &[&name]).succeeds().stdout).unwrap();
    let images = shown["images"].as_array().unwrap();
    assert_eq!(images.len(), 2);
    assert_eq!(images[0]["attestations"][0]["predicateType"], SPDX);
    let table = child.flashbuild("inspect", &[&name, "--format", "table"]).succeeds().stdout;
    assert!(table.contains("SBOM (SPDX), provenance (v1)"), "{table}");
    let sbom = child.flashbuild("inspect", &[&name, "--sbom", "--platform", "linux/arm64"]).succeeds().stdout;
    assert_eq!(serde_json::from_str::<Value>(&sbom).unwrap()["spdxVersion"], "SPDX-2.3");
    let provenance = child.flashbuild("inspect", &[&name, "--provenance"]).succeeds().stdout;
    assert!(serde_json::from_str::<Value>(&provenance).unwrap()["runDetails"]["builder"]["id"].is_string());
    child.flashbuild("diff", &[&name, &name]).succeeds();
    // Joined with another image, each keeps what is said of it, and the replaced one takes it along.
    let other = served.name("other:1");
    work.file("root/new", "new\n").build(&["--platform", "linux/arm64", "-t", &other, "--push", "--sbom"]).succeeds();
    child.flashbuild("index", &["create", "joined", &name, &other]).succeeds();
    let shown = child.flashbuild("inspect", &["joined"]).succeeds().stdout;
    let shown: Value = serde_json::from_str(&shown).unwrap();
    let counts: Vec<_> =
        shown["images"].as_array().unwrap().iter().map(|it| it["attestations"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [2, 1]);

    let Some(docker) = Dockerd::start() else { return };
    succeeds(docker.client().args(["pull", &name]));
    let label = succeeds(docker.client().args(["inspect", "--format", "{{.Config.Labels.who}} {{.Os}}", &name]));
    assert_eq!(label.trim(), "me linux");
}

#[test]
fn referrers_leave_the_image_as_it_is() {
    let work = workspace();
    let plain = work.build(&["-t", "plain"]).epoch(EPOCH).store("plain").succeeds();
    let arguments = ["--push", "--sbom", "--provenance", "--attest-as", "referrers"];
    let served = Served::start(&work, "served", &["--read-write"]);
    let name = served.name("app:1");
    let built = work.build(&[&["-t", &name], &arguments[..]].concat()).epoch(EPOCH).succeeds();
    assert_eq!(built.digest(), plain.digest());
    let list = format!("http://127.0.0.1:{}/v2/app/referrers/{}", served.port(), built.digest());
    let found = referrers(&list);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["artifactType"], "application/vnd.docker.attestation.manifest.v1+json");
    // Its own store has it, too.
    let sbom = work.flashbuild("inspect", &[&name, "--sbom"]).succeeds().stdout;
    assert_eq!(serde_json::from_str::<Value>(&sbom).unwrap()["name"], built.digest());
    // A later push takes it along.
    let later = served.name("later:1");
    work.flashbuild("push", &[&name, &later]).succeeds();
    let list = format!("http://127.0.0.1:{}/v2/later/referrers/{}", served.port(), built.digest());
    assert_eq!(referrers(&list), found);
    // So does a pull that is asked to; and nothing of it is left when no name needs it any more.
    let elsewhere =
        |command, arguments: &[&str]| work.flashbuild(command, arguments).store("elsewhere").succeeds().stdout;
    elsewhere("pull", &[&name]);
    assert!(work.flashbuild("inspect", &[&name, "--sbom"]).store("elsewhere").run().code != Some(0));
    elsewhere("pull", &["--referrers", &name]);
    assert_eq!(elsewhere("inspect", &[&name, "--sbom"]), sbom);
    let again = served.name("app:2");
    elsewhere("tag", &[&name, &again]);
    elsewhere("rmi", &[&name]);
    assert_eq!(elsewhere("inspect", &[&again, "--sbom"]), sbom);
    elsewhere("rmi", &[&again]);
    let left = elsewhere("images", &[]);
    assert!(!left.contains("sha256-") && !left.contains("app"), "{left}");

    let Some(registry) = Registry::start() else { return };
    let name = registry.name("app:1");
    let built = work.build(&[&["-t", &name], &arguments[..]].concat()).epoch(EPOCH).succeeds();
    assert_eq!(built.digest(), plain.digest());
    // It keeps no list, so there is one under a tag.
    let list = registry.manifest("app", &built.digest().replace(':', "-"));
    let entry = &list["manifests"][0];
    assert_eq!(entry["artifactType"], "application/vnd.docker.attestation.manifest.v1+json");
    let manifest = registry.manifest("app", entry["digest"].as_str().unwrap());
    assert_eq!(manifest["subject"]["digest"], built.digest());
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 2);
    let puts = registry.requests("PUT", "/manifests/");
    work.build(&[&["-t", &name], &arguments[..]].concat()).epoch(EPOCH).succeeds();
    assert_eq!(registry.requests("PUT", "/manifests/"), puts, "nothing is written twice");
}

/// The list of referrers behind a URL.
fn referrers(url: &str) -> Vec<Value> {
    let Some(mut python) = peer("python3") else { return Vec::new() };
    let fetch = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1]).read().decode())";
    let list: Value = serde_json::from_str(&succeeds(python.args(["-c", fetch, url]))).unwrap();
    list["manifests"].as_array().unwrap().clone()
}

#[test]
fn what_has_no_room_says_so() {
    let work = workspace();
    let run = work.build(&["-t", "app", "--sbom", "-o", "type=docker,dest=../app.tar"]).succeeds();
    assert!(run.raw.contains("has no room for attestations"), "{}", run.raw);
    let listed = succeeds(Command::new("tar").arg("-xOf").arg(work.path("app.tar")).arg("manifest.json"));
    assert_eq!(serde_json::from_str::<Value>(&listed).unwrap().as_array().unwrap().len(), 1);
    let wrong = work.build(&["--attest", "type=vex"]).exits_with(2);
    assert!(wrong.stderr.contains("expected sbom or provenance"), "{}", wrong.stderr);
}

#[test]
fn cosign_signs_what_was_pushed() {
    let work = workspace();
    let served = Served::start(&work, "served", &["--read-write"]);
    let name = served.name("app:1");
    let arguments = ["-t", &name, "-t", &served.name("app:2"), "--push", "--cosign-key", "my.key"];
    let missing = work.build(&arguments).variable("PATH", "/nowhere").exits_with(3);
    assert!(missing.stderr.contains("needs the program cosign"), "{}", missing.stderr);
    work.build(&["-t", "app", "--cosign-key", "my.key"]).exits_with(2);

    let tools = work.path("tools");
    fs::create_dir(&tools).unwrap();
    let record = work.path("record");
    let script = format!("#!/bin/sh\nprintf '%s ' \"$@\" \"$COSIGN_PASSWORD\" >> {0}\necho >> {0}\n", record.display());
    fs::write(tools.join("cosign"), script).unwrap();
    fs::set_permissions(tools.join("cosign"), fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let built = work.build(&arguments).variable("PATH", path.clone()).variable("COSIGN_PASSWORD", "open").succeeds();
    let image = format!("{}@{}", served.name("app"), built.digest());
    let expected = format!("sign --yes --key my.key --allow-http-registry {image} open \n");
    assert_eq!(fs::read_to_string(&record).unwrap(), expected, "once a repository");

    fs::write(tools.join("cosign"), "#!/bin/sh\necho 'wrong password' >&2\nexit 1\n").unwrap();
    let refused = work.build(&arguments).variable("PATH", path).exits_with(3);
    assert!(refused.stderr.contains("cosign did not sign") && refused.stderr.contains("wrong password"));
}

#[test]
fn cosign_itself_signs_and_verifies() {
    let Some(mut version) = peer("cosign") else { return };
    let version = succeeds(version.args(["version", "--json"]));
    let version: Value = serde_json::from_str(&version[version.find('{').unwrap()..]).unwrap();
    // Debian's own calls itself "devel", and is one of those that need it.
    let is_2 = version["gitVersion"].as_str().unwrap().starts_with("v2");
    let work = workspace();
    let served = Served::start(&work, "served", &["--read-write"]);
    let cosign = |arguments: &[&str]| {
        let mut cosign = Command::new("cosign");
        cosign.args(arguments).env("COSIGN_PASSWORD", "").env("HOME", work.path("home")).current_dir(work.path("home"));
        cosign
    };
    let key = work.path("home/my").display().to_string();
    succeeds(&mut cosign(&["generate-key-pair", "--output-key-prefix", &key]));
    let name = served.name("app:1");
    let key = |end| format!("{key}.{end}");
    let private = key("key");
    // Nothing is written to anybody's public log.
    let mut arguments = vec!["-t", &name, "--push", "--cosign-key", &private, "--cosign-arg=--tlog-upload=false"];
    arguments.extend((!is_2).then_some("--cosign-arg=--use-signing-config=false"));
    let build = work.build(&arguments).variable("COSIGN_PASSWORD", "").succeeds();
    let verify =
        |key: &str| cosign(&["verify", "--key", key, "--allow-http-registry", "--insecure-ignore-tlog=true", &name]);
    let said = succeeds(&mut verify(&key("pub")));
    assert!(said.contains(build.digest()), "{said}");
    let other = work.path("home/other").display().to_string();
    succeeds(&mut cosign(&["generate-key-pair", "--output-key-prefix", &other]));
    assert!(!verify(&format!("{other}.pub")).output().unwrap().status.success());
}

#[test]
fn the_checkout_that_the_context_lies_in_is_told() {
    let work = workspace();
    let Some(mut git) = peer("git") else { return };
    let folder = work.path("context");
    let run = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=me", "-c", "user.email=me@h.example"]).args(arguments).current_dir(&folder);
        succeeds(git.env("HOME", work.path("home")))
    };
    succeeds(git.args(["init", "--quiet"]).current_dir(&folder).env("HOME", work.path("home")));
    run(&["remote", "add", "origin", "https://me:hunter-2@h.example/r.git"]);
    run(&["add", "--all"]);
    run(&["commit", "--quiet", "--message=first"]);
    let commit = run(&["rev-parse", "HEAD"]).trim().to_owned();
    let vcs = |flags: &[&str], info: &str| {
        let build = work.build(&[&["-t", "app"], flags].concat()).variable("BUILDX_GIT_INFO", info);
        build.succeeds();
        let said = work.flashbuild("inspect", &["app", "--provenance"]).succeeds().stdout;
        assert!(!said.contains("hunter-2"), "{said}");
        serde_json::from_str::<Value>(&said).unwrap()["runDetails"]["metadata"]["buildkit_metadata"]["vcs"].clone()
    };
    let told = |revision: &str| {
        serde_json::json!({
            "source": "https://h.example/r.git",
            "revision": revision,
            "localdir:context": ".",
            "localdir:dockerfile": ".",
        })
    };
    assert_eq!(vcs(&["--provenance=min"], ""), told(&commit));
    work.file("new", "new\n");
    assert_eq!(vcs(&["--provenance=max"], ""), told(&format!("{commit}-dirty")));
    assert_eq!(vcs(&["--provenance=max"], "false"), Value::Null);
    assert_eq!(vcs(&["--provenance=mode=max,vcs=false"], ""), Value::Null);
}

#[test]
fn validators_of_others_accept_the_documents() {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sbom/bin/python");
    if !python.exists() {
        return skip("there are no validators of SBOMs");
    }
    let work = workspace();
    work.file("root/var/lib/dpkg/info/g++.list", "/usr/share/doc/g++/copyright\n").file(
        "root/usr/share/doc/g++/copyright",
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: GPL-3+\n",
    );
    for (format, predicate, script) in [
        (
            "spdx",
            SPDX,
            "import sys\nfrom spdx_tools.spdx.parser.parse_anything import parse_file\nfrom spdx_tools.spdx.validation.document_validator import validate_full_spdx_document as check\nfound = [m.validation_message for m in check(parse_file(sys.argv[1]))]\nsys.exit(str(found) if found else 0)",
        ),
        (
            "cyclonedx",
            "https://cyclonedx.org/bom",
            "import sys\nfrom cyclonedx.schema import SchemaVersion\nfrom cyclonedx.validation.json import JsonStrictValidator\nfound = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())\nsys.exit(str(found) if found else 0)",
        ),
    ] {
        let out = format!("type=oci,dest=../{format},tar=false");
        work.build(&["-t", "app:1", &format!("--sbom={format}"), "-o", &out]).succeeds();
        let document = work.path(format!("home/document.{format}.json"));
        fs::write(&document, said(&work.path(format), predicate).to_string()).unwrap();
        succeeds(Command::new(&python).args(["-c", script]).arg(&document));
    }
}
