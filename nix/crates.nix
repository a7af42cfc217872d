# Which folders of the workspace a program is built from: its own, and the crates that it needs, read
# from the manifests. Its source contains nothing else, so that an edit elsewhere rebuilds nothing.
{ lib }:

let
  root = ../.;
  manifest = lib.importTOML (root + "/Cargo.toml");

  # The crates that others may depend on: name → { path, … }.
  crates = lib.filterAttrs (_: dependency: dependency ? path) manifest.workspace.dependencies;

  # What a folder's code includes from outside of it, which is not in a manifest.
  included = {
    "shared/query" = [ "sql" ];
    "bins/ticksql" = [ "sql" ];
  };

  # Cargo reads the manifests of development dependencies even if no test is built.
  cratesOf =
    folder:
    let
      crate = lib.importTOML (root + "/${folder}/Cargo.toml");
      dependencies =
        crate.dependencies or { } // crate.build-dependencies or { } // crate.dev-dependencies or { };
      byPath = lib.attrNames (lib.filterAttrs (_: dependency: dependency ? path) dependencies);
    in
    if byPath != [ ] then
      throw "${folder} names ${toString byPath} by path; add it to [workspace.dependencies] in Cargo.toml"
    else
      map (name: crates.${name}.path) (lib.filter (name: crates ? ${name}) (lib.attrNames dependencies));

  foldersOf =
    names:
    map (crate: crate.key) (
      builtins.genericClosure {
        startSet = map (name: { key = "bins/${name}"; }) names;
        operator = crate: map (path: { key = path; }) (cratesOf crate.key);
      }
    );

  source =
    paths:
    lib.fileset.toSource {
      inherit root;
      fileset = lib.fileset.unions (
        map (path: root + "/${path}") (
          [
            ".cargo"
            "Cargo.toml"
            "Cargo.lock"
          ]
          ++ paths
        )
      );
    };
in
{
  inherit (manifest.workspace.package) version;
  lockFile = root + "/Cargo.lock";

  # What the given programs are built from.
  sourceOf =
    names:
    let
      folders = foldersOf names;
    in
    source (folders ++ lib.concatMap (folder: included.${folder} or [ ]) folders);

  # What the checks are built from.
  wholeSource = source [
    "bins"
    "clippy.toml"
    "deny.toml"
    "integration"
    "shared"
    "sql"
  ];
}
