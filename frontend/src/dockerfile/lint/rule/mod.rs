//! The rules, one file a family.

mod base;
mod casing;
mod command;
mod comment;
mod continuation;
mod copy;
mod deps;
mod expose;
mod legacy;
mod platform;
mod secret;
mod stage_name;
mod variable;
mod workdir;

use super::Check;
use std::fmt;

/// A rule.
pub struct Rule {
    /// What people call it, skip it by and search for.
    pub name: &'static str,
    /// What it is about.
    pub description: &'static str,
    /// The last part of the address of its page, if it has one.
    page: Option<&'static str>,
    /// Whether it is silent unless asked for.
    pub experimental: bool,
    pub(super) check: Check,
}

/// All rules, in the order in which they look at an instruction; those of moby/buildkit and, last, our own.
pub static RULES: [&Rule; 24] = [
    &continuation::NO_EMPTY_CONTINUATION,
    &legacy::MAINTAINER_DEPRECATED,
    &stage_name::STAGE_NAME_CASING,
    &casing::FROM_AS_CASING,
    &comment::INVALID_DEFINITION_DESCRIPTION,
    &stage_name::RESERVED_STAGE_NAME,
    &stage_name::DUPLICATE_STAGE_NAME,
    &casing::CONSISTENT_INSTRUCTION_CASING,
    &base::INVALID_DEFAULT_ARG_IN_FROM,
    &base::UNDEFINED_ARG_IN_FROM,
    &platform::REDUNDANT_TARGET_PLATFORM,
    &platform::FROM_PLATFORM_FLAG_CONST_DISALLOWED,
    &platform::INVALID_BASE_IMAGE_PLATFORM,
    &variable::UNDEFINED_VAR,
    &legacy::LEGACY_KEY_VALUE_FORMAT,
    &secret::SECRETS_USED_IN_ARG_OR_ENV,
    &workdir::WORKDIR_RELATIVE_PATH,
    &copy::COPY_IGNORED_FILE,
    &command::MULTIPLE_INSTRUCTIONS_DISALLOWED,
    &command::JSON_ARGS_RECOMMENDED,
    &expose::EXPOSE_PROTO_CASING,
    &expose::EXPOSE_INVALID_FORMAT,
    &deps::DEPS_DIFFER_FROM_RUN,
    &deps::DEPS_COMMENT_IGNORED,
];

impl Rule {
    /// The address of the page that explains it.
    pub fn url(&self) -> Option<String> {
        self.page.map(|page| format!("https://docs.docker.com/go/dockerfile/rule/{page}/"))
    }
}

impl fmt::Debug for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Rules are told apart by their names.
impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Rule {}
