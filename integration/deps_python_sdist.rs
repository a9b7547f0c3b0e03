//! `DEPS python --build-sdist`: packages that have no wheel are built in a step of the build.

use crate::{
    deps_python::{layers, sha256, wheel_with},
    harness::{Run, Workspace, is_root, native_platform, peer, skip, tree_of_installed},
};
use flashbuild::solver::event::{Hit, Outcome};
use std::{fmt::Write as _, fs};

/// With a compiler, so that native code can be built too.
const TOOLS: &[&str] = &["python3-pip", "python3-setuptools", "python3-wheel", "libpython3-dev", "gcc"];
const TOOLS_WITHOUT_COMPILER: &[&str] = &["python3-pip", "python3-setuptools", "python3-wheel"];

const ANSWER: &str = "\
#define PY_SSIZE_T_CLEAN
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{\"answer\", answer, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, \"native\", NULL, -1, methods};
PyMODINIT_FUNC PyInit_native(void) { return PyModule_Create(&module); }
";

/// A context with two source distributions in `artifacts/` and a lock of both.
struct Project {
    work: Workspace,
    lock: String,
}

impl Project {
    fn new(dockerfile: &str) -> Option<Self> {
        let mut project = Self { work: Workspace::new(dockerfile), lock: String::new() };
        let pure = [
            (
                "pyproject.toml",
                "[build-system]\nrequires = [\"setuptools>=40\"]\nbuild-backend = \"setuptools.build_meta\"\n",
            ),
            ("setup.py", "from setuptools import setup\nsetup(name='pure', version='1.0', py_modules=['pure'])\n"),
            ("pure.py", "def answer():\n    return 42\n"),
        ];
        let setup = "from setuptools import Extension, setup\n\
            setup(name='native', version='1.0', ext_modules=[Extension('native', ['native.c'])])\n";
        project.source("pure", &pure)?;
        project.source("native", &[("setup.py", setup), ("native.c", ANSWER)])?;
        Some(project)
    }

    /// Adds the source distribution of version 1.0 of a package.
    fn source(&mut self, name: &str, files: &[(&str, &str)]) -> Option<()> {
        let info = format!("Metadata-Version: 2.2\nName: {name}\nVersion: 1.0\n");
        for (path, content) in files.iter().copied().chain([("PKG-INFO", info.as_str())]) {
            let path = self.work.path(format!("sources/{name}-1.0/{path}"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        peer("tar")?;
        let archive = self.archive(name);
        writeln!(self.lock, "{name}==1.0 --hash=sha256:{}", sha256(&archive)).unwrap();
        self.work.file(&format!("artifacts/{name}-1.0.tar.gz"), &archive);
        self.work.file("requirements.txt", &self.lock);
        Some(())
    }

    fn archive(&self, name: &str) -> Vec<u8> {
        let archive = std::process::Command::new("tar")
            .args(["-c", "-z", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-C"])
            .arg(self.work.path("sources"))
            .arg(format!("{name}-1.0"))
            .output()
            .unwrap();
        assert!(archive.status.success());
        archive.stdout
    }
}

/// How the steps that build packages ended, by package.
fn builds(run: &Run) -> Vec<(String, &Outcome)> {
    let built =
        run.vertices().filter_map(|(name, outcome)| Some((name.split_once("DEPS: build ")?.1.to_owned(), outcome)));
    let mut built: Vec<_> = built.collect();
    built.sort_by(|(a, _), (b, _)| a.cmp(b));
    built
}

fn can_run_steps() -> bool {
    if !is_root() {
        skip("steps run in a root made of this machine's packages, which takes root");
    }
    is_root()
}

const OF_THE_STAGE: &str = "\
FROM scratch
ADD tools.tar /
DEPS python --python=3.11 --build-sdist --find-links=artifacts requirements.txt
RUN [\"/opt/venv/bin/python\", \"-c\", \"import native, pure; assert native.answer() == pure.answer() == 42\"]
";

const OF_ANOTHER_STAGE: &str = "\
FROM scratch AS tools
ADD tools.tar /
FROM scratch
ENV APP=1
DEPS python --python=3.11 --build-sdist=pure,native --build-from=tools --find-links=artifacts requirements.txt
COPY app.py /
";

#[test]
fn a_source_is_built_once_for_every_project() {
    if !can_run_steps() {
        return;
    }
    let (Some(project), Some(tools)) = (Project::new(OF_THE_STAGE), tree_of_installed(TOOLS)) else { return };
    project.work.file("tools.tar", &tools);
    let both = ["native 1.0".to_owned(), "pure 1.0".to_owned()];
    let first = project.work.build(&[]).succeeds();
    let ran: Vec<_> = both.iter().map(|name| (name.clone(), &Outcome::Ran)).collect();
    assert_eq!(builds(&first), ran);
    assert_eq!(layers(&first), (both.to_vec(), vec![]));

    let again = project.work.build(&[]).succeeds();
    assert!(again.vertices().all(|(_, outcome)| matches!(outcome, Outcome::Cached(_))));
    assert_eq!(again.digest(), first.digest());

    // Another project with other files, whose builder is a stage of its own.
    let other = Project::new(OF_ANOTHER_STAGE).unwrap();
    other.work.file("tools.tar", &tools).file("app.py", "import pure\n");
    let store = project.work.path("store");
    let second = other.work.build(&["-o", "type=local,dest=../out"]).store(store.to_str().unwrap()).succeeds();
    assert_eq!(layers(&second), (vec![], both.to_vec()));
    assert!(builds(&second).iter().all(|(_, outcome)| **outcome != Outcome::Ran), "{:?}", builds(&second));
    let site = other.work.path("out/opt/venv/lib/python3.11/site-packages");
    assert!(site.join("pure.py").exists() && site.join("native-1.0.dist-info/RECORD").exists());
    assert!(!other.work.path("out/.deps-made").exists() && !other.work.path("out/usr/bin/python3.11").exists());

    // Other tools may make something else of it.
    let changed = OF_ANOTHER_STAGE.replacen("FROM scratch\n", "COPY app.py /changed\nFROM scratch\n", 1);
    other.work.file("Dockerfile", &changed);
    let third = other.work.build(&["-o", "type=local,dest=../out"]).store(store.to_str().unwrap()).succeeds();
    assert_eq!(builds(&third), ran);

    // What came out the same is one step, whoever made the tree: nothing of it is in the definition.
    other.work.file("Dockerfile", changed.replacen("COPY app.py /changed", "COPY --chown=0:0 app.py /changed", 1));
    let fourth = other.work.build(&["-o", "type=local,dest=../out"]).store(store.to_str().unwrap()).succeeds();
    let found: Vec<_> = both.iter().map(|name| (name.clone(), &Outcome::Cached(Hit::Content))).collect();
    assert_eq!(builds(&fourth), found);
}

#[test]
fn one_step_makes_a_pure_package_for_every_platform() {
    if !can_run_steps() {
        return;
    }
    let (Some(mut project), Some(tools)) = (Project::new(""), tree_of_installed(TOOLS_WITHOUT_COMPILER)) else {
        return;
    };
    let dockerfile = OF_ANOTHER_STAGE
        .replacen("FROM scratch AS tools", "FROM --platform=$BUILDPLATFORM scratch AS tools", 1)
        .replacen("=pure,native", "", 1);
    project.work.file("Dockerfile", &dockerfile).file("tools.tar", &tools).file("app.py", "");
    let foreign = if native_platform() == "linux/arm64" { "linux/amd64" } else { "linux/arm64" };
    project.lock.truncate(project.lock.find("native").unwrap());
    project.work.file("requirements.txt", &project.lock);
    let both = format!("{},{foreign}", native_platform());
    let built = project.work.build(&["--platform", &both]).succeeds();
    assert_eq!(builds(&built), [("pure 1.0".to_owned(), &Outcome::Ran)]);
    assert_eq!(layers(&built).0, ["pure 1.0", "pure 1.0"]);

    let tied = "from setuptools import Distribution, setup\n\
        class Tied(Distribution):\n    def has_ext_modules(self):\n        return True\n\
        setup(name='tied', version='1.0', distclass=Tied)\n";
    project.source("tied", &[("setup.py", tied)]);
    let refused = project.work.build(&["--platform", foreign]).fails();
    let expected =
        format!("it was built on {} and is for that platform alone, and the image is for {foreign}", native_platform());
    assert!(refused.stderr.contains(&expected), "{}", refused.stderr);
}

/// Builds a package of one module, and is found where pip looks in the tree.
const BACKEND: &str = "\
import zipfile
def build_wheel(folder, settings=None, metadata=None):
    name = 'isolated-1.0-py3-none-any.whl'
    with zipfile.ZipFile(f'{folder}/{name}', 'w') as wheel:
        wheel.writestr('isolated.py', open('isolated.py').read())
        info = 'isolated-1.0.dist-info'
        wheel.writestr(f'{info}/METADATA', 'Metadata-Version: 2.1\\nName: isolated\\nVersion: 1.0\\n')
        wheel.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n')
        wheel.writestr(f'{info}/RECORD', '')
    return name
";

#[test]
fn what_a_build_needs_and_the_tree_lacks_is_fetched_by_its_pip() {
    if !can_run_steps() {
        return;
    }
    let tree = "FROM scratch AS tools\nADD tools.tar /\nCOPY backends /backends\n";
    let deps = "DEPS python --python=3.11 --build-sdist --build-from=tools --find-links=artifacts requirements.txt\n";
    let knows = format!("{tree}ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/backends\nFROM scratch\n{deps}");
    let (Some(mut project), Some(tools)) = (Project::new(&knows), tree_of_installed(TOOLS_WITHOUT_COMPILER)) else {
        return;
    };
    let backend = wheel_with("tiny_backend", "1.0", "", &[("tiny_backend.py", BACKEND)]);
    project.work.file("tools.tar", &tools).file("backends/tiny_backend-1.0-py3-none-any.whl", backend);
    project.lock.clear();
    let system = "[build-system]\nrequires = [\"tiny-backend\"]\nbuild-backend = \"tiny_backend\"\n";
    project.source("isolated", &[("pyproject.toml", system), ("isolated.py", "value = 42\n")]).unwrap();
    let built = project.work.build(&["-o", "type=local,dest=../out"]).succeeds();
    assert_eq!(builds(&built), [("isolated 1.0".to_owned(), &Outcome::Ran)]);
    assert_eq!(project.work.read("out/opt/venv/lib/python3.11/site-packages/isolated.py"), "value = 42\n");

    project.work.file("Dockerfile", format!("{tree}ENV PIP_NO_INDEX=1\nFROM scratch\n{deps}"));
    let refused = project.work.build(&[]).fails();
    for words in ["building it needs tiny-backend, which this tree does not have", "--ca-certificates"] {
        assert!(refused.raw.contains(words), "{words}: {}", refused.raw);
    }
}

#[test]
fn requirements_without_hashes_may_mean_sources_and_none_of_them_runs() {
    let (Some(mut project), Some(tools)) = (Project::new(OF_ANOTHER_STAGE), tree_of_installed(TOOLS)) else { return };
    let setup =
        "import os\nos.mkdir('/run/setup-py-ran')\nfrom setuptools import setup\nsetup(name='open', version='1.0')\n";
    let hash = |project: &Project, name: &str| {
        project
            .lock
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}==1.0 --hash=sha256:")))
            .unwrap()
            .to_owned()
    };
    let (pure, native) = (hash(&project, "pure"), hash(&project, "native"));
    project.work.file("tools.tar", &tools).file("app.py", "").file("requirements.txt", "pure>=0.5,<2\nnative\n");
    let offline = |work: &Workspace, command: &str, arguments: &[&str]| {
        work.flashbuild(command, &[arguments, &["."]].concat()).variable("PIP_NO_INDEX", "1").run()
    };
    let locked = offline(&project.work, "lock", &[]);
    if locked.stderr.contains("neither uv nor pip is here") {
        return skip("neither uv nor pip is installed");
    }
    assert_eq!(locked.stdout, "./flashbuild.lock: 2 packages\n", "{}", locked.stderr);
    let text = project.work.read("context/flashbuild.lock");
    assert!(text.contains(&pure) && text.contains(&native), "{text}");
    if can_run_steps() {
        let built = offline(&project.work, "build", &[]);
        assert_eq!(builds(&built).len(), 2, "{}", built.raw);
        assert_eq!(layers(&built).0, ["native 1.0", "pure 1.0"]);
    }

    // Without the flag a source is no choice, and one that leaves open what it needs is not asked.
    let without = OF_ANOTHER_STAGE.replacen("--build-sdist=pure,native --build-from=tools ", "", 1);
    project.work.file("Dockerfile", &without);
    let refused = offline(&project.work, "lock", &[]);
    assert!(refused.stderr.contains("finds no versions for it"), "{}", refused.stderr);
    project.source("open", &[("setup.py", setup)]).unwrap();
    let sources = project.work.path("sources/open-1.0/PKG-INFO");
    fs::write(sources, "Metadata-Version: 2.1\nName: open\nVersion: 1.0\n").unwrap();
    project
        .work
        .file("Dockerfile", OF_ANOTHER_STAGE.replacen("=pure,native", "", 1))
        .file("requirements.txt", "open\n");
    let open = project.archive("open");
    project.work.file("artifacts/open-1.0.tar.gz", open);
    let refused = offline(&project.work, "lock", &[]);
    let expected = "open 1.0 is a source alone, and only its own code tells what it depends on";
    assert!(refused.stderr.contains(expected), "{}", refused.stderr);
}

#[test]
fn what_cannot_be_built_says_what_is_missing() {
    let Some(project) = Project::new(OF_ANOTHER_STAGE) else { return };
    let tools = project.work.path("context/tools.tar");
    fs::write(&tools, [0; 1024]).unwrap();
    project.work.file("app.py", "");

    let with = |flags: &str| OF_ANOTHER_STAGE.replacen("--build-sdist=pure,native --build-from=tools", flags, 1);
    project.work.file("Dockerfile", with(""));
    let refused = project.work.build(&[]).fails();
    for line in [
        "no wheel for Python 3.11 on linux/",
        "native 1.0: only a source distribution",
        "pure 1.0: only a source distribution",
        "Choose: build from source in a step with --build-sdist, build wheels elsewhere",
    ] {
        assert!(refused.stderr.contains(line), "{line}: {}", refused.stderr);
    }

    project.work.file("Dockerfile", with("--build-sdist=pure"));
    let refused = project.work.build(&[]).fails();
    assert!(!refused.stderr.contains("pure 1.0") && refused.stderr.contains("native 1.0: only"), "{}", refused.stderr);
    assert!(refused.stderr.contains("in a step with --build-sdist=pure,native,"), "{}", refused.stderr);

    project.work.file("Dockerfile", with("--build-sdist"));
    let refused = project.work.build(&[]).fails();
    for part in ["there is no python3.11 in the image: --build-sdist builds with", "with --build-from"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
}

#[test]
fn a_python_without_pip_says_so() {
    if !can_run_steps() {
        return;
    }
    let (Some(project), Some(tools)) = (Project::new(OF_THE_STAGE), tree_of_installed(&["python3"])) else { return };
    project.work.file("tools.tar", &tools);
    let refused = project.work.build(&[]).fails();
    // The output of a step is in the events.
    assert!(refused.raw.contains("python3.11 has no pip: add it to the stage before DEPS"), "{}", refused.raw);
}
