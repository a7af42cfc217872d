# The part of nixpkgs' buildRustPackage that this repository uses: crates vendored from Cargo.lock, an
# offline build, and the binaries in $out/bin.
{
  lib,
  run,
  host,
  rustTarget,
  packages,
}:

{
  pname,
  version,
  src,
  cargoLock,
  nativeBuildInputs ? [ ],
  env ? { },
  postPatch ? "",
  cargoBuildFlags ? [ ],
  # Not optimised, which nixpkgs' is: a third of the time, and nobody runs what it builds.
  buildPhase ? ''
    export CARGO_PROFILE_RELEASE_STRIP=false CARGO_PROFILE_RELEASE_OPT_LEVEL=0
    cargo build -j "$NIX_BUILD_CORES" --target ${rustTarget} --offline --profile release ${toString cargoBuildFlags}
  '',
  installPhase ? ''
    mkdir -p $out/bin
    find target/${rustTarget}/release -maxdepth 1 -type f -executable -exec cp -t $out/bin {} +
  '',
  stripAllList ? [ ],
  # Taken and not used: cargo-auditable is never there. Any other argument is an error, as a misspelt
  # one should be.
  # deadnix: skip
  auditable,
  # The host's compiler is not hardened.
  # deadnix: skip
  hardeningDisable ? [ ],
  # Linux' sandbox has its own 127.0.0.1.
  # deadnix: skip
  __darwinAllowLocalNetworking ? false,
  doCheck,
  # deadnix: skip
  meta ? { },
}:

assert lib.assertMsg (!doCheck) "the stand-in has no checkPhase";

let
  locked = fromTOML (builtins.readFile cargoLock.lockFile);
  crates = builtins.filter (p: p ? source) locked.package;

  # A fixed-output derivation: Nix itself holds the file to Cargo.lock's checksum.
  # Cargo downloaded it ("cargo fetch --locked"), through the host's own settings.
  fetchCrate =
    p:
    run {
      name = "crate-${p.name}-${p.version}.tar.gz";
      path = "/usr/bin:/bin";
      script = "cp ${host.cargoHome}/registry/cache/*/${p.name}-${p.version}.crate $out";
      outputHashMode = "flat";
      outputHashAlgo = "sha256";
      outputHash = p.checksum or (throw "${p.name} in Cargo.lock has no checksum: not from a registry");
    };

  vendor = run {
    name = "cargo-vendor-dir";
    script = ''
      mkdir $out
      ${lib.concatStringsSep "\n" (
        map (p: ''
          tar -xzf ${fetchCrate p} -C $out
          echo '{"files":{},"package":"${p.checksum}"}' >$out/${p.name}-${p.version}/.cargo-checksum.json
        '') crates
      )}
    '';
  };
in
run {
  name = "${pname}-${version}";
  tools = [
    packages.cargo
    packages.rustc
  ]
  ++ nativeBuildInputs;
  inherit env;
  script = ''
    [ -d "$(rustc --print target-libdir --target ${rustTarget})" ] || {
      echo "this host's rustc has no standard library for ${rustTarget}" >&2
      exit 1
    }
    # Phases call the hooks around them, of which the stand-in has none.
    runHook() { :; }
    cp -r --preserve=mode,timestamps ${src} source
    chmod -R u+w source
    # As nixpkgs does: beside the source, so that the source's own settings hold as well.
    mkdir .cargo cargo-home
    cat >.cargo/config.toml <<EOF
    [source.crates-io]
    replace-with = "vendored-sources"
    [source.vendored-sources]
    directory = "${vendor}"
    EOF
    export CARGO_HOME="$NIX_BUILD_TOP/cargo-home"
    cd source
    ${postPatch}
    ${buildPhase}
    ${installPhase}
    if [ -d $out/bin ]; then find $out/bin -type f -exec strip -S -p {} +; fi
    for dir in ${toString stripAllList}; do find "$out/$dir" -type f -exec strip -s -p {} +; done
  '';
}
