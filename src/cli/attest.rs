//! What is said of the image: `--attest`, `--sbom`, `--provenance`, and who signs it.

use super::{Failed, keys::Keys};
use crate::{
    attest::{Options, ProvenanceMode, ProvenanceOptions, SbomFormat, Signer, SlsaVersion},
    export::AttestationForm,
};
use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(next_help_heading = "What is said of the image")]
pub(super) struct AttestArgs {
    /// Say what is in the image or how it came to be: type=sbom[,format=spdx|cyclonedx] or
    /// type=provenance[,mode=min|max,version=v1|v0.2,builder-id=URI,reproducible=BOOL,timestamps=BOOL,vcs=BOOL] (repeatable)
    #[arg(long, value_name = "SPEC")]
    attest: Vec<String>,
    /// List the packages of the image: true, false, spdx or cyclonedx; short for --attest=type=sbom
    #[arg(long, value_name = "SPEC", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    sbom: Option<String>,
    /// Tell how the image came to be: true, false, min, max, or keys of it; short for --attest=type=provenance
    #[arg(long, value_name = "SPEC", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    provenance: Option<String>,
    /// Where it is said: in the index of the image, or as OCI referrers beside it
    #[arg(long, value_name = "FORM", default_value = "index")]
    attest_as: Form,
    /// Sign what was pushed, by `cosign sign --yes --key KEY`: a file, or the address of a key
    #[arg(long, value_name = "KEY")]
    cosign_key: Option<String>,
    /// A further argument of `cosign sign`, as --cosign-arg=--tlog-upload=false (repeatable)
    #[arg(long, value_name = "ARG", requires = "cosign_key", allow_hyphen_values = true)]
    cosign_arg: Vec<String>,
}

/// Where statements are.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// Entries of the image's index, as buildx reads them
    Index,
    /// Manifests with the image as their subject
    Referrers,
}

impl AttestArgs {
    /// What was asked for. `started` is when the build did, in seconds since 1970.
    pub(super) fn options(&self, started: i64) -> Result<Options, Failed> {
        let form = match self.attest_as {
            Form::Index => AttestationForm::Index,
            Form::Referrers => AttestationForm::Referrers,
        };
        let mut options = Options { form, ..Options::default() };
        for spec in &self.attest {
            read(&mut options, "--attest", spec, started)?;
        }
        if let Some(value) = &self.sbom {
            let spec = match value.as_str() {
                "spdx" | "cyclonedx" => format!("type=sbom,format={value}"),
                value => long("sbom", value),
            };
            read(&mut options, "--sbom", &spec, started)?;
        }
        if let Some(value) = &self.provenance {
            let spec = match value.as_str() {
                "min" | "max" => format!("type=provenance,mode={value}"),
                value => long("provenance", value),
            };
            read(&mut options, "--provenance", &spec, started)?;
        }
        Ok(options)
    }

    /// Who signs, if somebody does. Only what is pushed can be signed.
    pub(super) fn signer(&self, pushes: bool) -> Result<Option<Signer>, Failed> {
        let Some(key) = &self.cosign_key else { return Ok(None) };
        if !pushes {
            return Err(Failed::usage("--cosign-key signs what is pushed: add --push"));
        }
        Signer::new(key, &self.cosign_arg).map(Some).map_err(Failed::environment)
    }
}

/// The long spelling of a short flag, as buildx reads it.
fn long(kind: &str, value: &str) -> String {
    match value {
        "true" | "1" => format!("type={kind}"),
        "false" | "0" => format!("type={kind},disabled=true"),
        keys => format!("type={kind},{keys}"),
    }
}

/// Whether a variable of the environment says no, as buildx reads it.
fn says_no(name: &str) -> bool {
    std::env::var(name).is_ok_and(|value| matches!(value.as_str(), "false" | "0"))
}

/// Adds what one specification says.
fn read(options: &mut Options, flag: &'static str, spec: &str, started: i64) -> Result<(), Failed> {
    let mut keys = Keys::read(flag, spec)?;
    let kind = keys.text("type").ok_or_else(|| keys.wrong("it has no type="))?;
    let is_disabled = keys.flag("disabled")?.unwrap_or(false);
    match kind.as_str() {
        "sbom" => {
            let format = match keys.text("format").as_deref() {
                None | Some("spdx") => SbomFormat::Spdx,
                Some("cyclonedx") => SbomFormat::CycloneDx,
                Some(other) => return Err(keys.wrong(&format!("format={other}: expected spdx or cyclonedx"))),
            };
            if keys.text("generator").is_some() {
                return Err(
                    keys.wrong("no scanner runs: packages are found by flashbuild itself; leave generator= out")
                );
            }
            options.sbom = (!is_disabled).then_some(format);
        }
        "provenance" => {
            let mode = match keys.text("mode").as_deref() {
                None | Some("max") => ProvenanceMode::Max,
                Some("min") => ProvenanceMode::Min,
                Some(other) => return Err(keys.wrong(&format!("mode={other}: expected min or max"))),
            };
            let version = match keys.text("version").as_deref() {
                None | Some("v1") => SlsaVersion::V1,
                Some("v0.2") => SlsaVersion::V02,
                Some(other) => return Err(keys.wrong(&format!("version={other}: expected v1 or v0.2"))),
            };
            let builder = keys.text("builder-id");
            let reproducible = keys.flag("reproducible")?.unwrap_or(false);
            let vcs = keys.flag("vcs")?.unwrap_or_else(|| !says_no("BUILDX_GIT_INFO"));
            let started = keys.flag("timestamps")?.unwrap_or(false).then_some(started);
            // Every output that has room for it gets it, and its file is always called the same.
            keys.flag("inline-only")?;
            keys.text("filename");
            let provenance = ProvenanceOptions { mode, version, builder, reproducible, vcs, started };
            options.provenance = (!is_disabled).then_some(provenance);
        }
        other => return Err(keys.wrong(&format!("unknown type {other:?}: expected sbom or provenance"))),
    }
    keys.end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(attest: &[&str], sbom: Option<&str>, provenance: Option<&str>) -> AttestArgs {
        AttestArgs {
            attest: attest.iter().map(ToString::to_string).collect(),
            sbom: sbom.map(str::to_owned),
            provenance: provenance.map(str::to_owned),
            attest_as: Form::Index,
            cosign_key: None,
            cosign_arg: Vec::new(),
        }
    }

    #[test]
    fn flags_are_read_as_buildx_reads_them() {
        let read = |attest: &[&str], sbom, provenance| match args(attest, sbom, provenance).options(7) {
            Ok(Options { sbom, provenance, .. }) => {
                let provenance = provenance.map(|it| {
                    let builder = it.builder.unwrap_or_default();
                    format!("{:?} {:?} {builder:?} {} {:?}", it.mode, it.version, it.reproducible, it.started)
                });
                format!("{} | {}", sbom.map(|it| format!("{it:?}")).unwrap_or_default(), provenance.unwrap_or_default())
            }
            Err(failed) => failed.text().to_owned(),
        };
        assert_eq!(read(&[], None, None), " | ");
        assert_eq!(read(&[], Some("true"), Some("true")), "Spdx | Max V1 \"\" false None");
        assert_eq!(read(&["type=sbom"], Some("false"), Some("0")), " | ");
        assert_eq!(read(&[], Some("cyclonedx"), Some("min")), "CycloneDx | Min V1 \"\" false None");
        let keys = "mode=min,version=v0.2,builder-id=https://ci/1,reproducible=true,timestamps=true,inline-only=true";
        assert_eq!(read(&[], None, Some(keys)), " | Min V02 \"https://ci/1\" true Some(7)");
        assert_eq!(read(&["type=provenance,mode=min", "type=sbom"], None, None), "Spdx | Min V1 \"\" false None");
        let wrong = read(&["type=vex"], None, None);
        assert_eq!(wrong, "--attest \"type=vex\": unknown type \"vex\": expected sbom or provenance");
        assert!(read(&[], Some("generator=x/y"), None).contains("leave generator= out"));
        assert!(read(&[], None, Some("mode=most")).contains("mode=most: expected min or max"));
    }

    #[test]
    fn what_is_not_pushed_cannot_be_signed() {
        let args = AttestArgs { cosign_key: Some("key".to_owned()), ..args(&[], None, None) };
        assert!(args.signer(false).unwrap_err().text().contains("add --push"));
    }
}
