//! What a diagnostic is about, for programs: its wording may change, its code does not.

use serde::{Serialize, Serializer};

macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident => $name:literal,)*) => {
        /// What a diagnostic is about.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code {
            $($(#[$doc])* $code,)*
        }

        impl Code {
            /// All codes.
            pub const ALL: &'static [Self] = &[$(Self::$code),*];

            /// The name by which programs know it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)*
                }
            }
        }
    };
}

codes! {
    // Reading the text.
    /// A heredoc without the line that ends it.
    UnclosedHeredoc => "unclosed-heredoc",
    /// A parser directive that is given twice.
    RepeatedDirective => "repeated-directive",
    /// An escape character that is none.
    InvalidEscape => "invalid-escape",
    /// A `# syntax=` that names another language.
    ForeignFrontend => "foreign-frontend",
    /// Something other than `ARG` before the first `FROM`.
    InstructionBeforeFrom => "instruction-before-from",
    /// A file that builds nothing.
    NoStage => "no-stage",
    /// A keyword that does not exist.
    UnknownInstruction => "unknown-instruction",
    /// An instruction with nothing behind it.
    MissingArgument => "missing-argument",
    /// A flag that the instruction does not take.
    UnknownFlag => "unknown-flag",
    /// A flag that can be given once, and is given again.
    RepeatedFlag => "repeated-flag",
    /// A flag that needs a value.
    FlagWithoutValue => "flag-without-value",
    /// A flag that is `true` or `false`, and is given something else.
    InvalidSwitch => "invalid-switch",
    /// A JSON list of something else than strings.
    JsonNotStrings => "json-not-strings",
    /// `ENV` or `LABEL` of a name alone.
    ValueMissing => "value-missing",
    /// A `=` without a name before it.
    NameMissing => "name-missing",
    /// A word without a `=` among pairs.
    EqualsMissing => "equals-missing",
    /// An instruction that cannot stand behind `ONBUILD`.
    ForbiddenTrigger => "forbidden-trigger",
    /// A `FROM` with too few or too many words.
    InvalidFrom => "invalid-from",
    /// A name that no stage can have.
    InvalidStageName => "invalid-stage-name",
    /// A `HEALTHCHECK` that is neither `NONE` nor a command.
    InvalidHealthcheck => "invalid-healthcheck",
    /// A time that is no duration, or one that is too short.
    InvalidDuration => "invalid-duration",
    /// `--retries` of something else than a number.
    InvalidRetries => "invalid-retries",
    /// `SHELL` of a line instead of a JSON list.
    ShellNotJson => "shell-not-json",
    /// A volume without a path.
    EmptyVolume => "empty-volume",
    /// A copy with less than a source and a destination.
    MissingDestination => "missing-destination",
    /// A copy into a heredoc.
    HeredocAsDestination => "heredoc-as-destination",
    /// A field that no mount has.
    UnknownMountField => "unknown-mount-field",
    /// A field of a mount that needs a value.
    MountFieldWithoutValue => "mount-field-without-value",
    /// `DEPS` of packages that are not known here.
    UnknownEcosystem => "unknown-ecosystem",
    /// `DEPS` without saying what to take.
    IncompleteDeps => "incomplete-deps",
    // Relations between stages and images.
    /// A target that is no stage.
    UnknownTarget => "unknown-target",
    /// A base that is nothing once its variables are expanded.
    EmptyBase => "empty-base",
    /// A base or a source that can be no image.
    InvalidImageName => "invalid-image-name",
    /// A platform that is nothing once its variables are expanded.
    EmptyPlatform => "empty-platform",
    /// A platform that is none.
    InvalidPlatform => "invalid-platform",
    /// A variable in `--from`.
    VariableInFrom => "variable-in-from",
    /// A number that no stage has.
    UnknownStageNumber => "unknown-stage-number",
    /// A stage that takes from itself.
    CopyFromItself => "copy-from-itself",
    /// Stages that need each other.
    CircularDependency => "circular-dependency",
    /// A stage that is used before it is defined.
    StageBelow => "stage-below",
    /// A trigger of a base image that cannot be read.
    UnreadableTrigger => "unreadable-trigger",
    /// More triggers than a build may carry out.
    TooManyTriggers => "too-many-triggers",
    /// An image that cannot be looked at.
    ImageNotFound => "image-not-found",
    /// Packages that cannot be found out.
    DepsNotFound => "deps-not-found",
    // Variables.
    /// A quote or brace that is not closed.
    UnclosedWord => "unclosed-word",
    /// A variable whose name or modifier is none.
    InvalidVariable => "invalid-variable",
    /// A pattern in a variable that is malformed.
    InvalidVariablePattern => "invalid-variable-pattern",
    /// `${name:?}` of a name without a value.
    RequiredVariable => "required-variable",
    /// Variables that are nested too deeply or become too long.
    ExpansionTooLarge => "expansion-too-large",
    /// A `SOURCE_DATE_EPOCH` that is no number.
    InvalidEpoch => "invalid-epoch",
    // What instructions do.
    /// An owner that is no user or group.
    InvalidOwner => "invalid-owner",
    /// A `--chmod` that is no mode.
    InvalidMode => "invalid-mode",
    /// A pattern of sources or of `--exclude` that is malformed.
    InvalidPattern => "invalid-pattern",
    /// Several sources for one file.
    DestinationNotFolder => "destination-not-folder",
    /// A heredoc that can be no file.
    InvalidHeredocName => "invalid-heredoc-name",
    /// An address of a file or repository that is malformed.
    InvalidAddress => "invalid-address",
    /// `COPY` of an address.
    CopyFromElsewhere => "copy-from-elsewhere",
    /// A flag that says something else than the address.
    ConflictingAddress => "conflicting-address",
    /// A checksum that is none.
    InvalidChecksum => "invalid-checksum",
    /// A checksum that is not of exactly one thing from elsewhere.
    ChecksumOfNothing => "checksum-of-nothing",
    /// A fetch that needs a checksum and has none.
    MissingChecksum => "missing-checksum",
    /// A `--network` that is no mode.
    UnknownNetwork => "unknown-network",
    /// A `--security` that is no mode.
    UnknownSecurity => "unknown-security",
    /// A `--device` without a name, or with a field that devices do not have.
    InvalidDevice => "invalid-device",
    /// A type of mount that does not exist.
    UnknownMountType => "unknown-mount-type",
    /// A field that this type of mount does not take.
    MountFieldOfOtherType => "mount-field-of-other-type",
    /// A field of a mount whose value is not of its kind.
    InvalidMountValue => "invalid-mount-value",
    /// A mount without a place, or in the place of everything.
    InvalidMountTarget => "invalid-mount-target",
    /// A mount of a pattern.
    InvalidMountSource => "invalid-mount-source",
    /// A secret without a name, or with two.
    InvalidSecret => "invalid-secret",
    /// A port that is none, or of no protocol.
    InvalidPort => "invalid-port",
    /// A signal that does not exist.
    InvalidSignal => "invalid-signal",
    /// A build that becomes larger than any image can be.
    TooLarge => "too-large",
    // Linting.
    /// A choice of lint rules that cannot be read.
    InvalidCheckOptions => "invalid-check-options",
    /// Warnings in a file that wants to have none.
    LintFailure => "lint-failure",
    // Building.
    /// A step that may do what was not allowed.
    NotAllowed => "not-allowed",
    /// A step that failed.
    StepFailed => "step-failed",
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
