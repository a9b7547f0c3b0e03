//! flashbuild
