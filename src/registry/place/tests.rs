//! Names, and where they lead with a configuration.

use super::{Asked, PlaceFiles, Places};
use std::{fmt::Write as _, fs};
use tempfile::TempDir;

struct Machine {
    folder: TempDir,
}

impl Machine {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn file(self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn places(&self) -> Result<Places, super::RegistryError> {
        let conf = self.folder.path().join("registries.conf");
        let files = PlaceFiles {
            registries_conf: Some(conf).filter(|conf| conf.exists()),
            hosts: vec![self.folder.path().join("certs.d")],
        };
        Places::read(&files, &[])
    }

    /// `API repository`, each with what is special about it.
    fn of(&self, name: &str) -> Vec<String> {
        let reference = name.parse().unwrap();
        let places = match self.places().and_then(|places| places.of(&reference, Asked::by(&reference))) {
            Ok(places) => places,
            Err(error) => return vec![error.to_string().replace(self.folder.path().to_str().unwrap(), "")],
        };
        let shown = |place: super::Place| {
            let server = place.server;
            let mut text = format!("{} {}", server.api, place.repository);
            if server.is_mirror {
                text += " mirror";
            }
            if let Some(name) = server.stands_for {
                let _ = write!(text, " ns={name}");
            }
            if server.trust.trusts_all {
                text += " trusts-all";
            }
            for file in server.trust.authorities {
                let _ = write!(text, " ca={}", file.file_name().unwrap().to_str().unwrap());
            }
            if server.trust.identity.is_some() {
                text += " shows";
            }
            for (name, value) in server.headers {
                let _ = write!(text, " {name}:{value}");
            }
            text
        };
        places.into_iter().map(shown).collect()
    }
}

#[test]
fn without_a_configuration_a_name_leads_to_its_registry() {
    let machine = Machine::new();
    assert_eq!(machine.of("debian:12"), ["https://registry-1.docker.io/v2/ library/debian"]);
    assert_eq!(machine.of("localhost:5000/a/b"), ["http://localhost:5000/v2/ a/b"]);
}

#[test]
fn the_longest_prefix_of_a_registries_conf_counts() {
    let machine = Machine::new()
        .file(
            "registries.conf",
            r#"
            unqualified-search-registries = ["other.example"]
            [[registry]]
            location = "docker.io"
            [[registry.mirror]]
            location = "mirror.example/hub"
            [[registry.mirror]]
            location = "tags.example"
            pull-from-mirror = "tag-only"
            [[registry.mirror]]
            location = "digests.example"
            pull-from-mirror = "digest-only"

            [[registry]]
            prefix = "docker.io/library/debian"
            location = "debian.example/images/debian"

            [[registry]]
            prefix = "*.lan.example"
            blocked = true

            [[registry]]
            prefix = "old.example/team"
            location = "new.example/people"
            insecure = true
            "#,
        )
        .file(
            "registries.conf.d/2.conf",
            "[[registry]]\nlocation = \"replaced.example\"\n[[registry.mirror]]\nlocation = \"two.example\"\n",
        )
        .file(
            "registries.conf.d/1.conf",
            "[[registry]]\nlocation = \"replaced.example\"\n[[registry.mirror]]\nlocation = \"one.example\"\n",
        )
        .file("registries.conf.d/readme", "not a configuration");
    let hub = |repository: &str| format!("https://registry-1.docker.io/v2/ {repository}");
    let digest = format!("busybox@sha256:{}", "0".repeat(64));
    for (name, expected) in [
        (
            "busybox:1",
            vec![
                "https://mirror.example/v2/ hub/library/busybox mirror".to_owned(),
                "https://tags.example/v2/ library/busybox mirror".to_owned(),
                hub("library/busybox"),
            ],
        ),
        (
            &digest,
            vec![
                "https://mirror.example/v2/ hub/library/busybox mirror".to_owned(),
                "https://digests.example/v2/ library/busybox mirror".to_owned(),
                hub("library/busybox"),
            ],
        ),
        ("debian:12", vec!["https://debian.example/v2/ images/debian".to_owned()]),
        (
            "debianish",
            vec![
                "https://mirror.example/v2/ hub/library/debianish mirror".to_owned(),
                "https://tags.example/v2/ library/debianish mirror".to_owned(),
                hub("library/debianish"),
            ],
        ),
        (
            "old.example/team/app",
            vec![
                "https://new.example/v2/ people/app mirror trusts-all".to_owned(),
                "http://new.example/v2/ people/app".to_owned(),
            ],
        ),
        ("old.example/teams/app", vec!["https://old.example/v2/ teams/app".to_owned()]),
        (
            "replaced.example/x",
            vec!["https://two.example/v2/ x mirror".to_owned(), "https://replaced.example/v2/ x".to_owned()],
        ),
        (
            "a.lan.example/x",
            vec![
                "a.lan.example/x:latest is blocked by /registries.conf: choose another image, or change that file"
                    .to_owned(),
            ],
        ),
    ] {
        assert_eq!(machine.of(name), expected, "{name}");
    }
}

#[test]
fn a_hosts_toml_names_mirrors_in_its_order() {
    let machine = Machine::new()
        .file(
            "certs.d/docker.io/hosts.toml",
            r#"
            server = "https://docker.io"
            [host."https://z.example"]
            capabilities = ["pull"]
            ca = ["one.pem", "two.pem"]
            [host."https://z.example".header]
            x-team = ["a", "b"]
            [host."https://a.example/some/path/v3"]
            override_path = true
            skip_verify = true
            client = [["client.cert", "client.key"]]
            [host."localhost:5001"]
            capabilities = ["pull", "resolve"]
            "#,
        )
        .file("certs.d/plain.example_5000_/ca.crt", "")
        .file("certs.d/plain.example_5000_/me.cert", "")
        .file(
            "certs.d/_default/hosts.toml",
            "[host.\"https://all.example\"]\ncapabilities = [\"resolve\", \"pull\"]\n",
        );
    let last =
        ["http://localhost:5001/v2/ library/x mirror ns=docker.io", "https://registry-1.docker.io/v2/ library/x"];
    let second = "https://a.example/some/path/v3/ library/x mirror ns=docker.io trusts-all shows";
    let first = "https://z.example/v2/ library/x mirror ns=docker.io ca=one.pem ca=two.pem x-team:a x-team:b";
    assert_eq!(machine.of("x:1"), [second, last[0], last[1]]);
    assert_eq!(machine.of(&format!("x@sha256:{}", "0".repeat(64))), [first, second, last[0], last[1]]);
    assert_eq!(machine.of("plain.example:5000/x"), ["https://plain.example:5000/v2/ x ca=ca.crt shows"]);
    assert_eq!(machine.of("r.example/x"), ["https://all.example/v2/ x mirror ns=r.example", "https://r.example/v2/ x"]);
}

#[test]
fn a_push_goes_where_its_name_says() {
    let machine = Machine::new()
        .file(
            "registries.conf",
            "[[registry]]\nprefix = \"r.example/a\"\nlocation = \"s.example/b\"\n[[registry.mirror]]\nlocation = \"m.example\"\n",
        )
        .file("certs.d/r.example/hosts.toml", "ca = \"own.pem\"\n[host.\"https://n.example\"]\n");
    let own = machine.places().unwrap().own(&"r.example/a/x".parse().unwrap()).unwrap();
    assert_eq!((own.server.api.as_str(), own.repository.as_str()), ("https://r.example/v2/", "a/x"));
    assert!(own.server.trust.authorities[0].ends_with("own.pem"));
}

#[test]
fn what_is_malformed_is_told_with_its_file() {
    for (file, text, why) in [
        ("registries.conf", "[[registry]]\ninsecure = true\n", "a [[registry]] with neither prefix nor location"),
        ("registries.conf", "[[registry]]\nprefix = \"a.example\"\n", "has no location"),
        ("registries.conf", "[[registry", "/registries.conf: TOML parse error"),
        ("certs.d/a.example/hosts.toml", "[host.\"ftp://x\"]\n", "it is no address of a server"),
        ("certs.d/a.example/hosts.toml", "[host.\"https://u:p@x\"]\n", "credentials and queries do not belong there"),
    ] {
        let said = Machine::new().file(file, text).of("a.example/x");
        assert!(said[0].contains(why), "{said:?}");
    }
}
