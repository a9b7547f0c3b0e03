//! Caches as objects: in a bucket of a server that speaks S3's language, and in GitHub's cache service.

use crate::harness::{ACTIONS_TOKEN, ActionsCache, BUSYBOX, Invocation, KEYS, Moto, Run, Workspace, native_platform};
use flashbuild::solver::event::{Hit, Outcome};

const DOCKERFILE: &str = "FROM busybox\nRUN seq 1 3000 > /a\nRUN cat /a /a > /b\n";

fn workspace() -> Option<Workspace> {
    Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{DOCKERFILE}"))
}

#[track_caller]
fn nothing_ran(run: &Run) {
    assert!(run.vertices().count() > 0);
    for (name, outcome) in run.vertices() {
        assert_eq!(outcome, &Outcome::Cached(Hit::Definition), "{name}");
    }
}

/// With the keys of an account.
fn keys(invocation: Invocation<'_>) -> Invocation<'_> {
    let [id, secret] = KEYS;
    invocation.variable("AWS_ACCESS_KEY_ID", id).variable("AWS_SECRET_ACCESS_KEY", secret)
}

#[test]
fn a_bucket_is_a_cache() {
    let (Some(work), Some(moto)) = (workspace(), Moto::start("team")) else { return };
    let spec =
        format!("type=s3,bucket=team,region=us-east-1,use_path_style=true,prefix=ci/,endpoint_url={}", moto.url());
    let to = format!("{spec},mode=max");
    let first = keys(work.build(&["-t", "app", "--cache-to", &to])).store("one").succeeds();
    let objects = moto.objects("team");
    let blobs = objects.iter().filter(|(name, _)| name.starts_with("ci/blobs/sha256:")).count();
    assert_eq!((objects.len(), blobs), (5, 4), "three layers, the records, and a manifest: {objects:?}");

    let second = keys(work.build(&["-t", "app", "--cache-from", &spec, "--cache-to", &to])).store("two").succeeds();
    nothing_ran(&second);
    assert_eq!(second.digest(), first.digest());
    assert_eq!(moto.objects("team"), objects, "an export adds what is missing");
    for run in [&first, &second] {
        assert!(!run.raw.contains("very secret") && !run.raw.contains("X-Amz-"), "{}", run.raw);
    }

    let wrong = work.build(&["--cache-to", &to]).store("one").variable("AWS_ACCESS_KEY_ID", KEYS[0]);
    let wrong = wrong.variable("AWS_SECRET_ACCESS_KEY", "another").exits_with(3);
    assert!(wrong.stderr.contains("SignatureDoesNotMatch"), "{}", wrong.stderr);
    let other = format!("{spec},name=other");
    let nothing = keys(work.build(&["--cache-from", &other])).store("three").succeeds();
    assert!(nothing.raw.contains("there is no cache at s3://team/ci/manifests/other yet"), "{}", nothing.raw);
    let no_bucket = spec.replace("bucket=team", "bucket=none");
    let refused = keys(work.build(&["--cache-to", &no_bucket])).store("one").exits_with(3);
    assert!(
        refused.stderr.contains("the cache was not exported") && refused.stderr.contains("404"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_large_layer_goes_in_parts_with_the_keys_of_a_profile() {
    let Some(moto) = Moto::start("team") else { return };
    let work = Workspace::new("FROM scratch\nCOPY large /\n");
    let mut random = fastrand::Rng::with_seed(5);
    let large: Vec<u8> = std::iter::repeat_with(|| random.u64(..)).take(20 << 17).flat_map(u64::to_le_bytes).collect();
    work.file("large", large);
    let [id, secret] = KEYS;
    std::fs::create_dir_all(work.path("home/.aws")).unwrap();
    std::fs::write(work.path("home/.aws/config"), "[profile ci]\nregion = eu-west-1\n").unwrap();
    let credentials = format!("[ci]\naws_access_key_id = {id}\naws_secret_access_key = {secret}\n");
    std::fs::write(work.path("home/.aws/credentials"), credentials).unwrap();
    let spec = format!("type=s3,bucket=team,use_path_style=true,endpoint_url={}", moto.url());
    let build = |flag: &str, spec: &str, store| {
        work.build(&["-t", "app", flag, spec]).store(store).variable("AWS_PROFILE", "ci").succeeds()
    };
    let first = build("--cache-to", &format!("{spec},compression=uncompressed"), "one");
    assert_eq!(moto.unfinished("team"), 0);
    assert!(moto.objects("team").iter().any(|(_, size)| *size > 20 << 20), "{:?}", moto.objects("team"));
    let second = build("--cache-from", &spec, "two");
    nothing_ran(&second);
    assert_eq!(second.digest(), first.digest());
    assert!(!first.raw.contains(secret) && !second.raw.contains(secret));
}

#[test]
fn the_cache_service_of_github_is_a_cache() {
    let Some(work) = workspace() else { return };
    let service = ActionsCache::start();
    let job = |arguments: &[&str], store: &'static str| {
        let build = work.build(&[&["-t", "app"], arguments].concat()).store(store);
        build.variable("ACTIONS_RESULTS_URL", service.url()).variable("ACTIONS_RUNTIME_TOKEN", ACTIONS_TOKEN).succeeds()
    };
    let first = job(&["--cache-to", "type=gha,mode=max"], "one");
    let entries = service.entries();
    assert_eq!(entries.len(), 5, "three layers, the records, and a manifest: {entries:?}");

    let second = job(&["--cache-from", "type=gha"], "two");
    nothing_ran(&second);
    assert_eq!(second.digest(), first.digest());
    assert_eq!(service.downloads("flashbuild-blob-"), 4);
    assert!(!first.raw.contains(ACTIONS_TOKEN) && !second.raw.contains("sig="), "{}", second.raw);

    // What changed is a further manifest, and the newest counts.
    work.file("Dockerfile", format!("{BUSYBOX}{DOCKERFILE}RUN echo more > /c\n"));
    job(&["--cache-from", "type=gha", "--cache-to", "type=gha,mode=max"], "two");
    assert_eq!(service.entries().len(), entries.len() + 3, "a layer, the records, a manifest");
    nothing_ran(&job(&["--cache-from", "type=gha"], "three"));
    // Another scope is another cache.
    let other = job(&["--cache-from", "type=gha,scope=other"], "four");
    assert!(other.raw.contains("there is no cache at gha:other yet"), "{}", other.raw);

    let wrong = work.build(&["--cache-to", &format!("type=gha,token=wrong,url={}", service.url())]).exits_with(3);
    assert!(wrong.stderr.contains("401") && !wrong.stderr.contains("wrong:"), "{}", wrong.stderr);
    let nowhere = work.build(&["--cache-to", "type=gha"]).exits_with(2);
    assert!(nowhere.stderr.contains("is this a job of GitHub Actions?"), "{}", nowhere.stderr);
}
