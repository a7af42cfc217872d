# Some of the workspace's binaries, in one build, for the platform of the package set that calls this
# file: the build machine's, or a Lambda architecture's through pkgsCross.
{
  lib,
  rustPlatform,
  crates,
  pname,
  names,
}:

rustPlatform.buildRustPackage {
  inherit pname;
  inherit (crates) version;
  src = crates.sourceOf names;

  # The crates are fetched one by one, each checked against its checksum in the committed Cargo.lock:
  # there is no vendor hash to keep up to date by hand.
  cargoLock = { inherit (crates) lockFile; };

  # The source has only some of the members; those that the workspace lists by name are missing.
  postPatch = ''
    sed -i -e '/^members = /c members = ["shared/*", "bins/*"]' -e '/^default-members = /d' Cargo.toml
  '';

  cargoBuildFlags =
    lib.concatMap (name: [
      "--package"
      name
    ]) names
    ++ [ "--bins" ];

  # RUSTFLAGS must stay unset: it would override the static-linking flags that nixpkgs gives to cargo.
  # Without this, the system's AWS-LC would be linked instead of the crate's own, if there is one.
  env.AWS_LC_SYS_USE_SYSTEM = "0";

  # The SBOM lists the dependencies, for both architectures.
  auditable = false;

  # nixpkgs turns the profile's own `strip` off and strips debug information only; this also strips the
  # symbols, for a smaller upload and a shorter cold start.
  stripAllList = [ "bin" ];

  # Tests are a check of their own, on the whole workspace: nix/check.nix.
  doCheck = false;

  meta.description = "Binaries of tickstream: ${lib.concatStringsSep ", " names}";
}
