//! `kill -9` at any moment leaves a store that the next build can use.

use crate::harness::{BUSYBOX, EPOCH, Layout, Workspace, native_platform};
use std::thread;
use std::time::{Duration, Instant};

const KILLS: u32 = 20;
const SEED: u64 = 20;

const DOCKERFILE: &str = "
FROM busybox AS one
COPY file /file
RUN dd if=/file of=/one bs=65536 && mkdir -p /tree/a/b && touch /tree/a/b/c

FROM busybox AS two
RUN sleep 0.1 && echo two > /two

FROM busybox
COPY --from=one /one /tree /data/
COPY --from=two /two /data/
RUN rm /etc/group && cat /data/one /data/two > /both
";

/// Fractions from 0 to 1, the same in every run (Knuth's generator, MMIX).
fn fractions(seed: u64) -> impl Iterator<Item = f64> {
    let next =
        |state: &u64| Some(state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407));
    std::iter::successors(Some(seed), next).skip(1).map(|state| f64::from((state >> 32) as u32) / f64::from(u32::MAX))
}

#[test]
fn a_killed_build_harms_none_after_it() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], &format!("{BUSYBOX}{DOCKERFILE}")) else { return };
    work.file("file", vec![7; 4 << 20]);
    let image = work.path("image");
    let output = format!("type=oci,dest={},tar=false", image.display());

    let began = Instant::now();
    let undisturbed = work.build(&["-o", &output]).store("fresh").epoch(EPOCH).succeeds();
    let duration = began.elapsed();

    for (kill, fraction) in (0..KILLS).zip(fractions(SEED)) {
        // Every other one does all the work again, over records that are there already.
        let arguments: &[&str] = if kill % 2 == 0 { &["-o", &output] } else { &["-o", &output, "--no-cache"] };
        let mut build = work.build(arguments).epoch(EPOCH).spawn();
        thread::sleep(duration.mul_f64(fraction).max(Duration::from_millis(1)));
        build.kill().unwrap();
        build.wait().unwrap();
    }
    let after = work.build(&["-o", &output]).epoch(EPOCH).succeeds();
    assert_eq!(after.digest(), undisturbed.digest());
    Layout::verified(&image);
}
