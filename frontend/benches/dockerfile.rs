//! How long it takes from the text of a Dockerfile to its graph: `cargo bench -p flashbuild-frontend`.

#![allow(missing_docs)] // The macros of criterion make public functions.

use criterion::{Criterion, criterion_group, criterion_main};
use flashbuild_frontend::dockerfile::{Dockerfile, Inputs, Options, lint::Extent};
use std::{fmt::Write as _, hint::black_box};

/// A project of ten stages, 200 lines in all, with arguments, heredocs, continuations and copies between stages.
fn project() -> String {
    let mut text = "# syntax=docker/dockerfile:1\nARG VERSION=3.12\nARG MIRROR\n".to_owned();
    for stage in 0..9 {
        write!(
            text,
            "\n# stage{stage} is one of them\nFROM scratch AS stage{stage}\nARG VERSION\nARG JOBS=4 MODE=${{VERSION%.*}}\n\
             ENV PATH=/opt/tool/bin:$PATH \\\n    LANG=C.UTF-8 \\\n    VERSION_MODE=\"$VERSION-$MODE\"\n\
             LABEL org.opencontainers.image.version=$VERSION stage={stage}\nWORKDIR /src/$MODE\n\
             COPY --chown=1000:1000 --chmod=755 src/ include/ ./\nRUN --network=none make -j$JOBS \\\n\
             \x20   CFLAGS=\"-O2 -g\" \\\n    # what everybody needs\n    PREFIX=/opt/tool{stage} \\\n    && make install\n\
             COPY <<EOF /etc/tool{stage}.conf\nversion = $VERSION\nmode = ${{MODE:-none}}\nEOF\n"
        )
        .expect("a String takes any text");
    }
    text.push_str("\nFROM scratch AS last\nARG VERSION\n");
    for stage in 0..9 {
        writeln!(text, "COPY --link --from=stage{stage} /opt/tool{stage} /opt/tool").expect("a String takes any text");
    }
    text.push_str("EXPOSE 80 443/tcp\nUSER 1000\nENTRYPOINT [\"/opt/tool/bin/serve\"]\nCMD [\"--port\", \"80\"]\n");
    text
}

fn dockerfile(criterion: &mut Criterion) {
    let text = project();
    let lines = text.lines().count();
    assert!((195..=210).contains(&lines), "{lines} lines");
    let platforms = ["linux/amd64", "linux/arm64"].map(|name| name.parse().expect("a platform"));
    let options = Options { platforms: platforms.to_vec(), ..Options::for_platform(platforms[0].clone()) };
    let inputs = Inputs::default();
    let file = Dockerfile::parse(&text).expect("the project is well written");
    let mut group = criterion.benchmark_group("200 lines, 10 stages, 2 platforms");
    group.bench_function("parse", |bench| bench.iter(|| Dockerfile::parse(black_box(&text))));
    group.bench_function("parse and lower", |bench| {
        bench.iter(|| Dockerfile::parse(black_box(&text)).map(|file| file.lower(&options, &inputs)));
    });
    group.bench_function("lint", |bench| bench.iter(|| file.lint(black_box(&options), Extent::Build(&inputs))));
    group.finish();
}

criterion_group!(benches, dockerfile);
criterion_main!(benches);
