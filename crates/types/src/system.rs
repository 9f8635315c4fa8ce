//! Which of the host's directories every sandbox sees.

/// Programs and what they need, at the top of every root, for reading and executing only.
pub const SYSTEM_DIRECTORIES: [&str; 8] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt"];
