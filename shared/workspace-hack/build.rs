//! Nothing to do: without a build script, cargo ignores build dependencies.

fn main() {}
