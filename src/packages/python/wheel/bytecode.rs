//! Bytecode of a package's modules, made by an interpreter of this machine that has the image's minor version.
//!
//! It does not depend on the architecture, so it is made once for all platforms. Its files say that their sources need
//! not be looked at (`unchecked-hash`, PEP 552), because times mean nothing in a layer. Modules are compiled, never run; one
//! that cannot be compiled is left as it is, as installers do.

use std::{
    fs,
    process::{Command, Stdio},
};

/// Compiles `N.py` in the folder to `N.pyc`, under the path that it has in the image.
const PROGRAM: &str = "\
import json, pathlib, py_compile, sys
if sys.implementation.cache_tag != sys.argv[1]:
    sys.exit(9)
folder = pathlib.Path(sys.argv[2])
mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
for number, path in enumerate(json.loads((folder / 'paths').read_text())):
    try:
        py_compile.compile(str(folder / f'{number}.py'), str(folder / f'{number}.pyc'), path, True, invalidation_mode=mode)
    except (py_compile.PyCompileError, RecursionError, MemoryError, ValueError):
        pass
";
/// The exit code for another version.
const OTHER_VERSION: i32 = 9;

/// A module: its absolute path in the image, and its source.
pub(super) type Module = (String, Vec<u8>);

/// Whether this machine has an interpreter of `version`, such as `3.11`.
pub(in super::super) fn can_compile(version: &str) -> bool {
    compile(version, &[]).is_ok()
}

/// Path and content of the bytecode of each module that can be compiled.
pub(super) fn compile(version: &str, modules: &[Module]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let failed = |error: std::io::Error| format!("its modules cannot be compiled: {error}");
    let folder = tempfile::tempdir().map_err(failed)?;
    for (number, (_, source)) in modules.iter().enumerate() {
        fs::write(folder.path().join(format!("{number}.py")), source).map_err(failed)?;
    }
    let paths: Vec<&str> = modules.iter().map(|(path, _)| path.as_str()).collect();
    let paths = serde_json::to_vec(&paths).expect("paths are plain data");
    fs::write(folder.path().join("paths"), paths).map_err(failed)?;
    let tag = format!("cpython-{}", version.replace('.', ""));
    run(version, &tag, folder.path())?;
    let mut compiled = Vec::new();
    for (number, (path, _)) in modules.iter().enumerate() {
        match fs::read(folder.path().join(format!("{number}.pyc"))) {
            Ok(bytes) => compiled.push((cached(path, &tag), bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(compiled)
}

fn run(version: &str, tag: &str, folder: &std::path::Path) -> Result<(), String> {
    for interpreter in [format!("python{version}"), "python3".to_owned()] {
        let mut python = Command::new(&interpreter);
        python.args(["-I", "-S", "-c", PROGRAM, tag]).arg(folder).stdin(Stdio::null());
        match python.output() {
            Ok(output) if output.status.success() => return Ok(()),
            Ok(output) if output.status.code() == Some(OTHER_VERSION) => {}
            // A wrapper around versions that has not this one.
            Ok(output) if output.status.code() == Some(127) => {}
            Ok(output) => {
                return Err(format!("{interpreter} fails: {}", String::from_utf8_lossy(&output.stderr).trim()));
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(format!("{interpreter}: {error}")),
        }
    }
    Err(format!("there is no Python {version} on this machine to compile modules with"))
}

/// Where the import system looks for the bytecode of a module.
fn cached(path: &str, tag: &str) -> String {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    format!("{folder}/__pycache__/{}.{tag}.pyc", name.strip_suffix(".py").unwrap_or(name))
}
