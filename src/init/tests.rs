//! Projects and what they get.

use super::{InitError, Project, propose};

#[track_caller]
fn check(files: &[(&str, &str)], dockerfile: &str, reasons: &[&str]) {
    let proposal = propose(&Project::of(files)).unwrap();
    assert_eq!(proposal.dockerfile, dockerfile);
    for reason in reasons {
        assert!(proposal.reasons.iter().any(|found| found.contains(reason)), "{reason}: {:#?}", proposal.reasons);
    }
    // What is proposed can be built.
    flashbuild_frontend::dockerfile::Dockerfile::parse(&proposal.dockerfile).unwrap();
}

#[test]
fn a_service_of_node() {
    check(
        &[
            ("package.json", r#"{"scripts": {"start": "node server.js"}, "engines": {"node": ">=18"}}"#),
            ("package-lock.json", "{}"),
        ],
        "FROM node:22-slim\nENV NODE_ENV=production\nWORKDIR /app\n\
         DEPS node --prefix=/app --omit=dev package-lock.json\nCOPY . .\nUSER node\nCMD [\"node\", \"server.js\"]\n",
        &["the packages of package-lock.json", "engines in package.json asks for >=18", "gets the signals itself"],
    );
}

#[test]
fn a_project_that_is_compiled() {
    check(
        &[
            ("package.json", r#"{"main": "out/index.js", "scripts": {"build": "tsc"}}"#),
            ("pnpm-lock.yaml", ""),
            ("tsconfig.json", "{\"compilerOptions\": {\n  \"outDir\": \"./out/\"\n}}"),
            (".nvmrc", "v20.11\n"),
        ],
        "FROM --platform=$BUILDPLATFORM node:20-slim AS build\nWORKDIR /app\nDEPS node --prefix=/app pnpm-lock.yaml\n\
         COPY . .\nRUN npm run build\n\nFROM node:20-slim\nENV NODE_ENV=production\nWORKDIR /app\n\
         DEPS node --prefix=/app --omit=dev pnpm-lock.yaml\nCOPY package.json ./\nCOPY --from=build /app/out ./out\n\
         USER node\nCMD [\"node\", \"out/index.js\"]\n",
        &[".nvmrc asks for v20.11", "only out goes into the image"],
    );
}

#[test]
fn a_service_of_bun() {
    check(
        &[("package.json", "{}"), ("bun.lock", ""), ("index.ts", "")],
        "FROM oven/bun:1-slim\nENV NODE_ENV=production\nWORKDIR /app\n\
         DEPS node --prefix=/app --omit=dev bun.lock\nCOPY . .\nUSER bun\nCMD [\"bun\", \"index.ts\"]\n",
        &["that of Bun"],
    );
}

#[test]
fn services_of_python() {
    let file = |version: &str, lock: &str, command: &str| {
        format!(
            "FROM python:3.{version}-slim\nENV PYTHONUNBUFFERED=1 PATH=/opt/venv/bin:$PATH\nWORKDIR /app\n\
             DEPS python --prefix=/opt/venv {lock}\nCOPY . .\nUSER 10001\nCMD {command}\n"
        )
    };
    check(
        &[
            ("pyproject.toml", "[project]\nrequires-python = \">=3.9,<3.12\"\n"),
            ("uv.lock", "[[package]]\nname = \"uvicorn\"\n"),
            ("app/main.py", "app = FastAPI()\n"),
        ],
        &file("11", "uv.lock", "[\"uvicorn\", \"app.main:app\", \"--host\", \"0.0.0.0\", \"--port\", \"8000\"]"),
        &["requires-python is >=3.9,<3.12", "uvicorn, which the lock has"],
    );
    check(
        &[
            ("requirements.txt", "flask==3.0.0\n"),
            ("app.py", "app = Flask(__name__)\n"),
            (".python-version", "3.12.4\n"),
        ],
        &file("12", "requirements.txt", "[\"python\", \"app.py\"]"),
        &["no hashes", "add gunicorn", ".python-version"],
    );
    check(
        &[("Pipfile", ""), ("Pipfile.lock", "{}")],
        &file("13", "Pipfile.lock", "[\"python\", \"main.py\"]"),
        &["does not say which version", "main.py, which is not there"],
    );
}

#[test]
fn a_script_of_python_is_called_where_its_modules_are() {
    let manifest =
        |target: &str| format!("[project]\nname = \"tool\"\n[project.scripts]\nother = \"a:b\"\ntool = \"{target}\"\n");
    let file = |path: &str, code: &str| {
        format!(
            "FROM python:3.13-slim\nENV PYTHONUNBUFFERED=1 PATH=/opt/venv/bin:$PATH{path}\nWORKDIR /app\n\
             DEPS python --prefix=/opt/venv uv.lock\nCOPY . .\nUSER 10001\nCMD {code}\n"
        )
    };
    check(
        &[("pyproject.toml", &manifest("tool.cli:main")), ("uv.lock", ""), ("src/tool/cli.py", "")],
        &file(" PYTHONPATH=/app/src", r#"["python", "-c", "from tool.cli import main; raise SystemExit(main())"]"#),
        &["CMD calls tool.cli:main, as the script tool", "modules are in src"],
    );
    check(
        &[("pyproject.toml", &manifest("tool:App.run [fast]")), ("uv.lock", ""), ("tool.py", "")],
        &file("", r#"["python", "-c", "from tool import App; raise SystemExit(App.run())"]"#),
        &["CMD calls tool:App.run"],
    );
    for target in ["elsewhere:main", "tool", "tool:main()", "tool:a\\\"b"] {
        let files = [("pyproject.toml", &manifest(target)[..]), ("uv.lock", ""), ("tool.py", "")];
        check(&files, &file("", "[\"python\", \"main.py\"]"), &["which is not there"]);
    }
}

#[test]
fn what_is_missing_is_said() {
    let error = |files: &[(&str, &str)]| propose(&Project::of(files)).unwrap_err();
    assert_eq!(error(&[("go.mod", "")]), InitError::Unknown);
    assert!(error(&[("package.json", "{}")]).to_string().ends_with("`npm install --package-lock-only`"));
    let yarn = error(&[("package.json", "{}"), ("yarn.lock", "")]).to_string();
    assert!(
        yarn.ends_with("`npm install --package-lock-only`, which takes the versions from your yarn.lock"),
        "{yarn}"
    );
    assert!(error(&[("pyproject.toml", "")]).to_string().ends_with("`uv lock`"));
    assert!(matches!(error(&[("package.json", "{")]), InitError::Manifest { .. }));
}
