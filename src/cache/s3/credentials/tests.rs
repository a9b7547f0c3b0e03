//! Where keys are found, and which place goes before which.

use super::{Identity, Lent, Variable, profile, read};
use crate::cache::{CacheError, S3Credentials, objects::Objects};
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpListener,
    path::Path,
    sync::{Arc, Mutex},
};

fn variables(pairs: &[(&str, &str)]) -> Variable {
    let pairs: Vec<(String, String)> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Box::new(move |name| pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone()))
}

/// What an identity comes to: the names of its keys, or the error.
async fn look(pairs: &[(&str, &str)]) -> Result<Option<S3Credentials>, CacheError> {
    let objects = Objects::new("s3://bucket/name", &[], 1).unwrap();
    Identity::new(None, "eu-central-1", variables(pairs)).keys(&objects).await
}

fn id(found: Result<Option<S3Credentials>, CacheError>) -> String {
    match found {
        Ok(Some(keys)) => {
            format!("{} {} {}", keys.access_key_id, keys.secret_access_key, keys.session_token.unwrap_or_default())
        }
        Ok(None) => "nobody".to_owned(),
        Err(error) => error.to_string(),
    }
}

type Requests = Arc<Mutex<Vec<String>>>;

/// A server that answers by path, and what it was asked: method, path, headers and body in one text.
fn serve(answers: &'static [(&'static str, &'static str)]) -> (String, Requests) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let requests = Requests::default();
    let noted = Arc::clone(&requests);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut request, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                let line = line.to_ascii_lowercase();
                length = line.strip_prefix("content-length: ").map_or(length, |text| text.trim().parse().unwrap());
                request += &line;
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            request += &String::from_utf8_lossy(&body);
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            noted.lock().unwrap().push(request);
            let answer = answers.iter().find(|(known, _)| known.to_ascii_lowercase() == path);
            let (status, body) = answer.map_or((404, ""), |(_, body)| (200, *body));
            let length = body.len();
            let head = format!("HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = stream.get_mut().write_all((head + body).as_bytes());
        }
    });
    (url, requests)
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_of_both_files_is_one() {
    let folder = tempfile::tempdir().unwrap();
    let config = write(
        folder.path(),
        "config",
        "[default]\nregion = eu-west-1\ns3 =\n  max_concurrent_requests = 20\n[profile team]\n# comment\naws_access_key_id=of-config\n\
         [profile  printed]\ncredential_process = echo '{\"Version\": 1, \"AccessKeyId\": \"P\", \"SecretAccessKey\": \"p\", \"SessionToken\": \"t\"}'\n\
         [profile broken]\ncredential_process = echo secret; exit 3\n\
         [profile role]\nrole_arn = arn:x\nsource_profile = team\n[profile page]\nsso_session = s\n",
    );
    let credentials = write(
        folder.path(),
        "credentials",
        "[default]\naws_access_key_id = D\naws_secret_access_key = d=/+\n[team]\naws_access_key_id = T\naws_secret_access_key = t\naws_session_token = s\n",
    );
    let of = |profile: &'static str| {
        let pairs = [
            ("AWS_CONFIG_FILE", config.clone()),
            ("AWS_SHARED_CREDENTIALS_FILE", credentials.clone()),
            ("AWS_PROFILE", profile.to_owned()),
        ];
        async move {
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (*name, &**value)).collect();
            id(look(&pairs[..if profile.is_empty() { 2 } else { 3 }]).await)
        }
    };
    assert_eq!(of("").await, "D d=/+ ");
    assert_eq!(of("team").await, "T t s");
    assert_eq!(of("printed").await, "P p t");
    for (profile, problem) in [
        ("broken", "failed: exit status: 3"),
        ("role", "takes a role on by the keys of another one"),
        ("page", "signs in on a page of the web"),
        ("absent", "there is no profile \"absent\""),
    ] {
        let said = of(profile).await;
        assert!(said.contains(problem) && !said.contains("secret"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_exchanged_for_keys() {
    let folder = tempfile::tempdir().unwrap();
    let token = write(folder.path(), "token", "j.w.t\n");
    let answer = "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleWithWebIdentityResult>\
                  <Credentials><AccessKeyId>W</AccessKeyId><SecretAccessKey>w/+=</SecretAccessKey><SessionToken>t</SessionToken>\
                  <Expiration>2999-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>";
    let (url, requests) = serve(Box::leak(Box::new([("/", answer)])));
    let pairs = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", &*token),
        ("AWS_ROLE_ARN", "arn:aws:iam::1:role/r"),
        ("AWS_ENDPOINT_URL_STS", &*url),
        // Passed over.
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/"),
    ];
    assert_eq!(id(look(&pairs).await), "W w/+= t");
    let asked = requests.lock().unwrap().concat();
    for wanted in [
        "Action=AssumeRoleWithWebIdentity",
        "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr",
        "RoleSessionName=flashbuild",
        "WebIdentityToken=j.w.t",
    ] {
        assert!(asked.contains(wanted), "{asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_the_container_is_shown_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let token = write(folder.path(), "token", "shown\n");
    let (url, requests) = serve(&[(
        "/keys",
        r#"{"AccessKeyId": "C", "SecretAccessKey": "c", "Token": "t", "Expiration": "2999-01-01T00:00:00Z"}"#,
    )]);
    let agent = format!("{url}/keys");
    let pairs = [("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*agent), ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &*token)];
    assert_eq!(id(look(&pairs).await), "C c t");
    assert!(requests.lock().unwrap().concat().contains("authorization: shown\r\n"));
    let said = id(look(&[("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://elsewhere.example/keys")]).await);
    assert!(said.contains("expected https://"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_is_asked_with_a_token_and_only_if_it_may_be() {
    let (url, requests) = serve(&[
        ("/latest/api/token", "a token"),
        ("/latest/meta-data/iam/security-credentials/", "builder"),
        (
            "/latest/meta-data/iam/security-credentials/builder",
            r#"{"Code": "Success", "AccessKeyId": "I", "SecretAccessKey": "i", "Token": "t", "Expiration": "2999-01-01T00:00:00Z"}"#,
        ),
    ]);
    let service = ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*url);
    assert_eq!(id(look(&[service]).await), "I i t");
    let asked = requests.lock().unwrap().clone();
    assert!(asked[0].starts_with("put /latest/api/token"), "{asked:?}");
    assert_eq!(asked.iter().filter(|request| request.contains("x-aws-ec2-metadata-token: a token")).count(), 2);
    assert_eq!(id(look(&[service, ("AWS_EC2_METADATA_DISABLED", "true")]).await), "nobody");
    let (empty, _) = serve(&[]);
    assert_eq!(id(look(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &empty)]).await), "nobody");
}

#[test]
fn keys_end() {
    let fresh = |until: &str| {
        read(&format!(r#"{{"AccessKeyId": "a", "SecretAccessKey": "b", "Expiration": "{until}"}}"#)).unwrap().is_fresh()
    };
    assert!(fresh("2999-01-01T00:00:00Z") && !fresh("2020-01-01T00:00:00Z"));
    assert!(Lent { until: None, ..read(r#"{"AccessKeyId": "a", "SecretAccessKey": "b"}"#).unwrap() }.is_fresh());
    assert!(read("{}").is_err());
    assert_eq!(profile::find(&|_| None), Ok(None));
}
