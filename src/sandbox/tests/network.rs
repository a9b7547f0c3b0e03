//! Namespaces with a way out. The "host" is a network namespace of the test's own, where no machine is in the way.

use super::{Image, Spec, fs, ordinary_user, skip};
use crate::sandbox::{Lease, Network, OutboundNetworks};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Makes the builder of these tests lend the step a namespace.
const LEASE: &str = "FLASHBUILD_TEST_LEASE";

/// A host with an interface, a default route, a server at another address that only the host itself has, and one on its
/// loopback; then the builder, as root or not.
const HOST: &str = "
    set -e
    ip link set lo up
    ip tuntap add dev outside mode tap
    ip address add 198.51.100.2/24 dev outside
    ip address add 203.0.113.1/32 dev lo
    ip link set outside up
    ip route add default via 198.51.100.1
    mkdir -p $0/www && echo hello > $0/www/index.html
    busybox httpd -p 203.0.113.1:8000 -h $0/www
    busybox httpd -p 127.0.0.1:8001 -h $0/www
    exec \"$@\"
";

const SCRIPT: &str = "
    busybox wget -q -O - http://203.0.113.1:8000/index.html || echo no way out
    busybox wget -q -T 2 -O - http://127.0.0.1:8001/index.html 2> /dev/null || echo no loopback of the host
    ip link set lo down 2> /dev/null || echo may not change it
";

const EXPECTED: &str = "hello\nno loopback of the host\nmay not change it\n";

pub(super) fn lease_if_asked(spec: &mut Spec) -> Option<Lease> {
    std::env::var_os(LEASE)?;
    let lease = OutboundNetworks::find().expect("the test has looked for it").lease().unwrap();
    spec.network = lease.network();
    Some(lease)
}

/// Runs a script in a step that only `program` gives a way out.
fn run(program: &str, as_root: bool, script: &str) -> Option<Output> {
    let mut image = Image::busybox()?;
    let Some(file) = ["/usr/bin", "/usr/local/bin", "/bin"]
        .map(|folder| format!("{folder}/{program}"))
        .into_iter()
        .find(|file| fs::metadata(file).is_ok())
    else {
        return skip(&format!("there is no {program}"));
    };
    let path = image.folder.path().join("path");
    fs::create_dir(&path).unwrap();
    std::os::unix::fs::symlink(file, path.join(program)).unwrap();
    let builder = ordinary_user::builder(&mut image, script, as_root);
    let folder = image.folder.path();
    let path = format!("{}:/usr/sbin:/sbin", path.display());
    let output = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-c", HOST])
        .arg(folder)
        // Only the builder is to see no more than the one program.
        .args(["env", &format!("PATH={path}"), &format!("{LEASE}=1")])
        .args(builder)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.stdout.is_empty() && (said.contains("not found") || said.contains("/dev/net/tun")) {
        return skip(&format!("no host to test with: {said}"));
    }
    Some(output)
}

fn reaches_the_outside(program: &str) {
    for as_root in [true, false] {
        let Some(output) = run(program, as_root, SCRIPT) else { return };
        let text = String::from_utf8_lossy(&output.stdout);
        let text = text.split_once('\n').map_or("", |(_privilege, text)| text);
        assert_eq!(text, EXPECTED, "as root: {as_root}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_step_reaches_the_outside_by_pasta() {
    reaches_the_outside("pasta");
}

#[test]
fn a_step_reaches_the_outside_by_slirp4netns() {
    reaches_the_outside("slirp4netns");
}

#[test]
fn a_namespace_is_lent_again_and_ends_with_those_who_lend() {
    if Image::busybox().is_none() {
        return;
    }
    let Some(networks) = OutboundNetworks::find() else { return skip("there is no pasta").unwrap_or(()) };
    let process = |lease: &Lease| match lease.network() {
        Network::Outbound(namespace) => namespace.process,
        Network::Host | Network::None => unreachable!("it is a lease"),
    };
    let Ok(first) = networks.lease() else { return skip("this machine gives no way out").unwrap_or(()) };
    let second = networks.lease().unwrap();
    let (one, other) = (process(&first), process(&second));
    assert_ne!(one, other);
    drop(first);
    assert_eq!(process(&networks.lease().unwrap()), one);
    assert!(fs::exists(format!("/proc/{one}")).unwrap());
    drop((second, networks));
    for process in [one, other] {
        let start = Instant::now();
        while fs::exists(format!("/proc/{process}")).unwrap() {
            assert!(start.elapsed() < Duration::from_secs(10), "{process} is left");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
