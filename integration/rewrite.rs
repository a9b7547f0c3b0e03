//! Images split and slimmed, and started to prove that they still work.

use crate::harness::{BUSYBOX, EPOCH, Workspace, native_platform, peer};
use serde_json::Value;
use std::collections::BTreeSet;

/// Files of two Python packages below `site`; `version` is that of the second.
fn packages(work: &Workspace, version: &str) {
    for (name, version) in [("one", "1"), ("two", version)] {
        work.file(&format!("site/{name}-1.dist-info/METADATA"), format!("Name: {name}\nVersion: {version}\n"));
        work.file(&format!("site/{name}-1.dist-info/RECORD"), format!("{name}.py,,\n{name}-1.dist-info/RECORD,,\n"));
        work.file(&format!("site/{name}.py"), format!("{name} {version}\n").repeat(2000));
    }
    work.file("site/notes", "of no package");
}

/// Digests of the layers of an image of the local store.
fn layers(work: &Workspace, name: &str) -> Vec<String> {
    let json = work.flashbuild("inspect", &["--format", "json", name]).succeeds().stdout;
    let image: Value = serde_json::from_str(&json).unwrap();
    let layers = image["images"][0]["layers"].as_array().unwrap().iter();
    layers.map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

fn report(stdout: &str) -> Value {
    let reports: Value = serde_json::from_str(stdout).unwrap();
    reports[0].clone()
}

#[test]
fn a_split_image_holds_the_same_and_shares_layers_with_its_like() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], "") else { return };
    let dockerfile = format!("{BUSYBOX}FROM busybox\nCOPY site /site/\nCMD [\"cat\", \"/site/two.py\"]\n");
    let mut made = Vec::new();
    for (name, version) in [("first", "1"), ("second", "2")] {
        packages(&work, version);
        work.file("Dockerfile", &dockerfile);
        // Installers give files the time at which they ran, unless this is set.
        work.build(&["-t", name]).epoch(EPOCH).succeeds();
        let split = format!("{name}-split");
        let args = ["--from", "1kB", "--format", "json", "-t", &split, name];
        let report = report(&work.flashbuild("split", &args).succeeds().stdout);
        assert_eq!((&report["layers_before"], &report["layers_after"]), (&Value::from(2), &Value::from(4)));
        assert_eq!(report["proofs"][0]["end"], "ended with exit code 0");
        work.flashbuild("diff", &["--semantic", name, &split]).succeeds();
        let json = work.flashbuild("diff", &["--times", "--format", "json", name, &split]).exits_with(1).stdout;
        let differences: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(differences["files"], serde_json::json!([]), "only the history tells them apart");
        made.push(layers(&work, &split).into_iter().collect::<BTreeSet<_>>());
    }
    assert_eq!(made[0].intersection(&made[1]).count(), 3, "a new version of a package is one new layer: {made:?}");
}

#[test]
fn builds_split_large_layers_and_slim_when_asked() {
    let work = Workspace::new("FROM scratch\nCOPY site /site/\nCOPY lists /var/lib/apt/lists/\n");
    packages(&work, "1");
    work.file("lists/x_Packages", "x".repeat(5000));
    work.build(&["-t", "plain"]).succeeds();
    assert_eq!(layers(&work, "plain").len(), 2, "small layers stay");
    work.build(&["-t", "split", "--split=1kB"]).succeeds();
    assert_eq!(layers(&work, "split").len(), 4);
    work.build(&["-t", "again", "--split=1000"]).succeeds();
    assert_eq!(layers(&work, "again"), layers(&work, "split"));
    work.flashbuild("diff", &["--semantic", "plain", "split"]).succeeds();
    let run = work.build(&["-t", "slim", "--split=off", "--slim"]).succeeds();
    assert!(run.raw.contains("slim: 5.0kB saved in 1 files"), "{}", run.raw);
    let gone = work.flashbuild("diff", &["--semantic", "plain", "slim"]).exits_with(1);
    assert!(gone.stdout.starts_with("- /var/lib/apt/lists/x_Packages\n"), "{}", gone.stdout);
    work.build(&["--split=large"]).exits_with(2);
}

/// Forty folders with a megabyte each, in small files, and a link into one of them.
#[test]
fn a_change_in_a_large_tree_changes_one_layer() {
    let work = Workspace::new("FROM scratch\nCOPY tree /src/\n");
    for number in 0..160 {
        work.file(&format!("tree/{}/{number}", number % 40), format!("{number:09}\n").repeat(26_000));
    }
    let of = |name: &str| -> BTreeSet<String> { layers(&work, name).into_iter().collect() };
    work.build(&["-t", "whole", "--split=off"]).succeeds();
    work.build(&["-t", "first"]).succeeds();
    let first = of("first");
    assert!((8..=20).contains(&first.len()), "{}", first.len());
    work.flashbuild("diff", &["--semantic", "whole", "first"]).succeeds();
    let again = work.build(&["-t", "again"]).succeeds();
    assert!(of("again") == first && !again.raw.contains("divide layers"), "{}", again.raw);

    work.file("tree/7/7", "changed\n");
    work.build(&["-t", "second"]).succeeds();
    work.build(&["-t", "changed", "--split=off"]).succeeds();
    work.flashbuild("diff", &["--semantic", "changed", "second"]).succeeds();
    // The last layer has the times of all folders.
    let new = of("second").difference(&first).count();
    assert!(of("second").len() == first.len() && (1..=2).contains(&new), "{new}");
}

#[test]
fn a_slim_image_lacks_what_the_passes_say_and_nothing_else() {
    let work = Workspace::new("FROM scratch\nCOPY a /base\nCOPY man /usr/share/man/man1/\nCOPY a /app\nCOPY b /app\n");
    work.file("a", "a".repeat(3000)).file("b", "b").file("man/x.1", "page");
    work.build(&["-t", "fat"]).succeeds();
    let dry = work.flashbuild("slim", &["--dry-run", "--passes=all", "fat"]).succeeds().stdout;
    assert!(dry.contains("nothing was made"), "{dry}");
    let args = ["--passes", "proven,docs", "--format", "json", "--dropped", "whole", "-t", "thin", "fat"];
    let report = report(&work.flashbuild("slim", &args).succeeds().stdout);
    let saved: Vec<_> = report["savings"].as_array().unwrap().iter().map(|it| (&it["pass"], &it["bytes"])).collect();
    let expected = [("hidden", 3000), ("caches", 0), ("links", 0), ("docs", 4)];
    assert_eq!(saved.len(), expected.len());
    assert!(saved.iter().zip(expected).all(|(saved, it)| *saved.0 == it.0 && *saved.1 == it.1), "{saved:?}");
    assert_eq!(report["removed"], serde_json::json!(["/usr/share/man/man1/x.1"]));
    let gone = work.flashbuild("diff", &["--semantic", "fat", "thin"]).exits_with(1).stdout;
    assert!(gone.starts_with("- /usr/share/man/man1/x.1\nthe images differ: 1 file,"), "{gone}");
    work.flashbuild("diff", &["--semantic", "fat", "whole"]).succeeds();
    work.flashbuild("slim", &["--passes=beauty", "-t", "x", "fat"]).exits_with(2);
}

/// A program that was compiled with its debug symbols in it, with another name and a copy.
#[test]
fn debug_sections_move_to_an_image_in_which_debuggers_find_them() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], "") else { return };
    let Some(mut compiler) = peer("gcc") else { return };
    let functions = (0..100).map(|n| format!("int f{n}(int x) {{ int y = x * {n}; return y; }}\n")).collect::<Vec<_>>();
    work.file("main.c", functions.concat() + "int main(void) { return f7(1); }\n");
    let program = work.path("context/program");
    let made = compiler.args(["-g", "-static", "-o"]).arg(&program).arg(work.path("context/main.c")).status();
    assert!(made.unwrap().success());
    let copies = "COPY program /made/\nRUN mkdir -p /usr/bin && cp -p /made/program /usr/bin/program && ln /usr/bin/program /usr/bin/alias \
                  && cp -p /usr/bin/program /usr/bin/copy && rm /made/program\nCMD [\"/usr/bin/program\"]\n";
    work.file("Dockerfile", format!("{BUSYBOX}FROM busybox\n{copies}"));
    work.build(&["-t", "app"]).succeeds();
    let args = ["--format", "json", "--debug", "symbols", "--dropped", "whole", "-t", "thin", "app"];
    let report = report(&work.flashbuild("slim", &args).succeeds().stdout);
    let saving = report["savings"].as_array().unwrap().iter().find(|it| it["pass"] == "debug-sections").unwrap();
    assert!(saving["files"] == 1 && saving["bytes"].as_u64().unwrap() > 4096, "{saving}");
    assert_eq!(report["proofs"][0]["end"], "ended with exit code 7");
    let changed = work.flashbuild("diff", &["--semantic", "app", "thin"]).exits_with(1).stdout;
    let names = ["/usr/bin/program", "/usr/bin/alias", "/usr/bin/copy"];
    assert!(names.iter().all(|name| changed.contains(name)) && changed.contains("3 files,"), "{changed}");
    work.flashbuild("diff", &["--semantic", "app", "whole"]).succeeds();

    work.file("Dockerfile", "FROM thin AS thin\nFROM symbols\nCOPY --from=thin /usr/bin/program /program\n");
    work.build(&["-o", &format!("type=local,dest={}", work.path("out").display())]).succeeds();
    let Some(mut gdb) = peer("gdb") else { return };
    let folder = format!("set debug-file-directory {}", work.path("out/usr/lib/debug").display());
    let file = format!("file {}", work.path("out/program").display());
    let told = gdb.args(["-batch", "-nx", "-ex", &folder, "-ex", &file, "-ex", "info line f7"]).output().unwrap();
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("main.c") && told.contains("Line 8"), "{told}");
}

/// A fat binary of one kernel for two GPUs, in a program.
#[test]
fn code_for_other_gpus_goes_and_the_program_keeps_its_size() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], "") else { return };
    let Some(mut compiler) = peer("gcc") else { return };
    let code = |capability: u8| {
        let mut code = vec![2, 0, 1, 1, 64, 0, 0, 0, 0, 16];
        code.resize(64, 0);
        code[28] = capability;
        code.resize(64 + 4096, capability);
        code
    };
    let container = [&b"\x50\xed\x55\xba\x01\0\x10\0\x80\x20\0\0\0\0\0\0"[..], &code(80), &code(90)].concat();
    work.file("section", container);
    let section = work.path("context/section");
    let source = format!(
        "__asm__(\".section .nv_fatbin,\\\"a\\\"; .incbin \\\"{}\\\"; .text\");\nint main(void) {{ return 7; }}\n",
        section.display()
    );
    work.file("main.c", source);
    let program = work.path("context/program");
    let made = compiler.args(["-static", "-o"]).arg(&program).arg(work.path("context/main.c")).status();
    assert!(made.unwrap().success());
    work.file("Dockerfile", format!("{BUSYBOX}FROM busybox\nCOPY program /program\nCMD [\"/program\"]\n"));
    work.build(&["-t", "app"]).succeeds();
    let args = ["--format", "json", "--gpu", "sm_90", "--dropped", "whole", "-t", "thin", "app"];
    let report = report(&work.flashbuild("slim", &args).succeeds().stdout);
    let saving = report["savings"].as_array().unwrap().iter().find(|it| it["pass"] == "gpu-code").unwrap();
    assert_eq!((&saving["files"], &saving["bytes"]), (&Value::from(1), &Value::from(4096)));
    assert_eq!(report["proofs"][0]["end"], "ended with exit code 7");
    let changed = work.flashbuild("diff", &["--semantic", "app", "thin"]).exits_with(1).stdout;
    assert!(changed.contains("/program") && changed.contains("content") && !changed.contains("size"), "{changed}");
    work.flashbuild("diff", &["--semantic", "app", "whole"]).succeeds();

    let run = work.build(&["-t", "built", "--slim", "--gpu", "sm_80,sm_90"]).succeeds();
    assert!(!run.raw.contains("GPUs"), "all of it is for them: {}", run.raw);
    let run = work.build(&["-t", "built", "--slim", "--gpu", "compute_100"]).succeeds();
    assert!(run.raw.contains("slim: 8.2kB saved in 1 files: code for GPUs"), "{}", run.raw);
    work.flashbuild("slim", &["--passes=gpu-code", "-t", "x", "app"]).exits_with(2);
    work.flashbuild("slim", &["--gpu", "gfx90a", "-t", "x", "app"]).exits_with(2);
    work.build(&["--gpu", "sm_90"]).exits_with(2);
}

#[test]
fn what_no_longer_works_is_refused() {
    let Some(work) = Workspace::with_busybox(&[native_platform()], "") else { return };
    // An application that reads its manual.
    work.file("man/x.1", "page");
    let command = "CMD [\"cat\", \"/usr/share/man/man1/x.1\"]";
    work.file("Dockerfile", format!("{BUSYBOX}FROM busybox\nCOPY man /usr/share/man/man1/\n{command}\n"));
    work.build(&["-t", "reader"]).succeeds();
    let run = work.flashbuild("slim", &["--passes=docs", "-t", "broken", "reader"]).exits_with(1);
    assert!(!run.stderr.contains("CANCELLED") && run.stderr.contains("Failed after"), "{}", run.stderr);
    assert!(run.stderr.contains("the rewritten image does not work as before"), "{}", run.stderr);
    let names = work.flashbuild("images", &[]).succeeds().stdout;
    assert!(!names.contains("broken") && !names.contains("flashbuild.invalid"), "{names}");
    // Nor does a build leave out what the image needs.
    let run = work.build(&["-t", "broken", "--slim=docs"]).exits_with(1);
    assert!(run.stderr.contains("the rewritten image does not work as before"), "{}", run.stderr);
    assert_eq!(work.flashbuild("images", &[]).succeeds().stdout, names);
    let lighter = |args: &[&str]| work.build(&[&["-t", "thin", "--slim=docs"], args].concat()).succeeds().raw;
    let proof = "prove for ";
    assert!(!lighter(&["--no-smoke"]).contains(proof));
    assert!(lighter(&["--smoke", "exit 3"]).contains(proof));
    assert!(!lighter(&["--smoke", "exit 3"]).contains(proof), "what was proven once is remembered");
    assert!(lighter(&["--smoke", "exit 4"]).contains(proof));
    work.build(&["--smoke", "exit 3"]).exits_with(2);
    work.build(&["--slim", "--smoke-time", "0"]).exits_with(2);
    work.flashbuild("slim", &["--smoke-time", "0", "-t", "thin", "reader"]).exits_with(2);
    // A command that does not need it shows nothing.
    let smoke = ["--passes=docs", "--smoke", "exit 3", "-t", "broken", "reader"];
    let run = work.flashbuild("slim", &smoke).succeeds();
    assert!(run.stdout.contains("exit 3 ended with exit code 3, before and after"), "{}", run.stdout);
}
