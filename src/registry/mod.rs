//! Images in registries.
