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

  # The source has some of the members only; those that the workspace names one by one are not there.
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
  # An AWS-LC of the system would be linked instead of the crate's own, where one is found.
  env.AWS_LC_SYS_USE_SYSTEM = "0";

  # Dependencies are told by the SBOM, for both architectures alike.
  auditable = false;

  # nixpkgs turns the profile's own `strip` off and strips debug information only; this strips the
  # symbols too, for a smaller upload and a shorter cold start.
  stripAllList = [ "bin" ];

  # Tests are a check of their own, on the whole workspace: nix/check.nix.
  doCheck = false;

  meta.description = "Binaries of tickstream: ${lib.concatStringsSep ", " names}";
}
