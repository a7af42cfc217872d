# host: what tools/nix-host-check found on this machine. Its text is part of every derivation below, so
# another compiler means another store path.
{
  lib,
  host,
  system,
}:

let
  # tools: packages whose programs the script finds, beside those of stdenv. A program that a package of
  # ours uses and does not name is not found, as with nixpkgs.
  run =
    {
      name,
      script,
      tools ? [ ],
      env ? { },
      path ? lib.concatStringsSep ":" (map (tool: "${tool}/bin") ([ packages.stdenv ] ++ tools)),
      ...
    }@args:
    derivation (
      {
        inherit system;
        builder = "/bin/bash";
        args = [
          "-euo"
          "pipefail"
          "-c"
          "umask 022; cd \"$NIX_BUILD_TOP\"; . \"$scriptPath\""
        ];
        # A command line is too short for one that names every crate.
        inherit script;
        passAsFile = [ "script" ];
        PATH = path;
        HOME = "/homeless-shelter";
        compilers = "${host.rustc}\n${host.cc}";
      }
      // env
      // removeAttrs args [
        "tools"
        "env"
        "path"
      ]
    );

  # The host's programs under a package's name; the build fails if the host lacks one.
  packages = lib.mapAttrs (
    name: programs:
    run {
      inherit name;
      path = "/usr/bin:/bin";
      script = ''
        mkdir -p $out/bin
        ${lib.concatStringsSep "\n" (
          lib.mapAttrsToList (
            program: place:
            if place == "" then
              "echo 'this host has no ${program}' >&2; exit 1"
            else
              "ln -s ${place} $out/bin/${program}"
          ) programs
        )}
      '';
    }
  ) host.programs;

  # The package set for one Rust target. The tools always run on the host.
  packagesFor =
    rustTarget:
    let
      callPackage =
        file: args:
        let
          f = import file;
        in
        f (builtins.intersectAttrs (builtins.functionArgs f) pkgs // args);

      pkgs = removeAttrs packages [ "stdenv" ] // {
        inherit lib callPackage;

        rustPlatform.buildRustPackage = import ./build-rust-package.nix {
          inherit
            lib
            run
            host
            rustTarget
            packages
            ;
        };

        runCommand =
          name:
          {
            nativeBuildInputs ? [ ],
          }:
          script:
          run {
            inherit name script;
            tools = nativeBuildInputs;
          };

        cacert = run {
          name = "cacert";
          script = ''
            mkdir -p $out/etc/ssl/certs
            cp /etc/ssl/certs/ca-certificates.crt $out/etc/ssl/certs/ca-bundle.crt
          '';
        };

        # It evaluates as nixpkgs' does; only nixpkgs' makes an image. The arguments are named so that any
        # other is an error.
        dockerTools.buildLayeredImage =
          {
            name,
            tag,
            architecture,
            extraCommands,
            config,
          }@args:
          run {
            name = "${name}.tar.gz";
            described = builtins.toJSON args;
            script = "echo 'the stand-in for nixpkgs makes no images' >&2; exit 1";
          };

        mkShell =
          # deadnix: skip
          { packages, hardeningDisable }:
          run {
            name = "shell";
            tools = packages;
            script = "export >$out";
          };

        pkgsCross = {
          aarch64-multiplatform-musl.pkgsStatic = packagesFor "aarch64-unknown-linux-musl";
          musl64.pkgsStatic = packagesFor "x86_64-unknown-linux-musl";
        };
      };
    in
    pkgs;
in
packagesFor host.rustTarget
