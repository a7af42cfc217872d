{
  description = "tickstream: the Lambdas as reproducible zips, the programs, and the checks on both";

  # The branch whose rustc is the `rust-version` of Cargo.toml.
  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { nixpkgs, ... }:
    let
      inherit (nixpkgs) lib;
      crates = import ./nix/crates.nix { inherit lib; };

      functionNames = [
        "webhook"
        "analytics"
        "broadcast"
        "redrive"
        "scaler"
        "compaction"
      ];
      programNames = [
        "tickstream"
        "ticksql"
        "tickctl"
      ];

      # Lambda's architectures. A static binary needs nothing of the runtime's userland, so what nixpkgs
      # builds runs on provided.al2023, and in an image that contains nothing else.
      architectures = pkgs: {
        arm64 = pkgs.pkgsCross.aarch64-multiplatform-musl.pkgsStatic;
        x86_64 = pkgs.pkgsCross.musl64.pkgsStatic;
      };

      forAllSystems =
        f:
        lib.genAttrs [ "x86_64-linux" "aarch64-linux" "aarch64-darwin" ] (
          system: f nixpkgs.legacyPackages.${system}
        );

      # One build for all the names: what they have in common is compiled once.
      build =
        pkgs: pname: names:
        pkgs.callPackage ./nix/programs.nix { inherit crates pname names; };
      buildFunctions = pkgs: build pkgs "tickstream-functions" functionNames;

      # { webhook = <zip>; … } The build machine makes the zips, whatever machine the binaries are for.
      zipFunctions =
        pkgs: functions:
        lib.genAttrs functionNames (
          name: pkgs.callPackage ./nix/bootstrap-zip.nix { inherit name functions; }
        );

      pick =
        pkgs: name: programs:
        pkgs.callPackage ./nix/one-program.nix { inherit name programs; };
      programsOf =
        pkgs:
        let
          programs = build pkgs "tickstream-programs" programNames;
        in
        lib.genAttrs programNames (name: pick pkgs name programs) // { default = programs; };
    in
    {
      packages = forAllSystems (
        pkgs:
        let
          functions = lib.mapAttrs (_: buildFunctions) (architectures pkgs);
          zips = lib.mapAttrs (_: zipFunctions pkgs) functions;
          bundle =
            arch:
            pkgs.callPackage ./nix/lambda-zips.nix {
              zips = zips.${arch};
              inherit arch;
            };
          image =
            arch:
            pkgs.callPackage ./nix/image.nix {
              inherit arch crates;
              programs = build (architectures pkgs).${arch} "tickstream-static" [ "tickstream" ];
            };
        in
        programsOf pkgs
        # webhook, analytics, …: arm64, which costs less on Lambda
        // zips.arm64
        // lib.mapAttrs' (name: lib.nameValuePair "${name}-x86_64") zips.x86_64
        // {
          # the bare binaries
          functions = functions.arm64;
          functions-x86_64 = functions.x86_64;
          lambda-zips = bundle "arm64";
          lambda-zips-x86_64 = bundle "x86_64";
          image = image "arm64";
          image-x86_64 = image "x86_64";
        }
      );

      apps = forAllSystems (
        pkgs:
        let
          app = program: {
            type = "app";
            program = "${program}";
          };
          programs = programsOf pkgs;
          apps = lib.genAttrs programNames (name: app "${programs.${name}}/bin/${name}");
        in
        apps // { default = apps.tickstream; }
      );

      # The same expressions for the build machine's own platform, and checks of the whole workspace.
      checks = forAllSystems (
        pkgs:
        let
          functions = buildFunctions pkgs;
          zips = zipFunctions pkgs functions;
          check =
            name: tools: command:
            pkgs.callPackage ./nix/check.nix {
              inherit
                crates
                name
                tools
                command
                ;
            };
        in
        {
          inherit functions;
          programs = (programsOf pkgs).default;
          lambda-zips = pkgs.callPackage ./nix/lambda-zips.nix {
            inherit zips;
            arch = "native";
          };
          zip-layout = pkgs.callPackage ./nix/check-zips.nix { inherit zips; };
          fmt = check "fmt" [ pkgs.rustfmt ] "cargo fmt --all --check";
          clippy = check "clippy" [ pkgs.clippy ] ''
            cargo clippy --workspace --all-targets --locked --offline -- -D warnings
          '';
          deny = check "deny" [ pkgs.cargo-deny ] ''
            cargo deny --offline --locked check bans licenses sources
          '';
          # `integration` needs emulated AWS, which needs a network or a Docker engine.
          # Named pipes are made by `mkfifo`.
          tests = check "tests" [ pkgs.coreutils ] "cargo test --workspace --exclude integration --locked --offline";
        }
        // lib.mapAttrs' (name: lib.nameValuePair "zip-${name}") zips
      );

      # What the verbs of the justfile need.
      devShells = forAllSystems (pkgs: {
        default = pkgs.mkShell {
          # As in nix/check.nix.
          hardeningDisable = [ "fortify" ];
          packages = [
            pkgs.awscli2
            pkgs.cargo
            pkgs.cargo-cyclonedx
            pkgs.cargo-deny
            pkgs.clippy
            pkgs.git
            pkgs.just
            pkgs.nix
            pkgs.nixfmt
            pkgs.python3
            pkgs.rust-analyzer
            pkgs.rustc
            pkgs.rustfmt
            pkgs.unzip
            pkgs.zip
          ];
        };
      });

      # The one for a whole tree: `nix fmt` names no files.
      formatter = forAllSystems (pkgs: pkgs.nixfmt-tree);
    };
}
