# The functions of nixpkgs' lib that this repository uses, with the same meaning.
let
  inherit (builtins)
    attrNames
    attrValues
    concatMap
    filter
    listToAttrs
    map
    mapAttrs
    ;
in
rec {
  inherit
    attrNames
    attrValues
    concatMap
    filter
    mapAttrs
    ;
  inherit (builtins) concatStringsSep;

  assertMsg = condition: message: condition || throw message;

  nameValuePair = name: value: { inherit name value; };
  genAttrs = names: f: listToAttrs (map (n: nameValuePair n (f n)) names);
  mapAttrsToList = f: set: map (n: f n set.${n}) (attrNames set);
  mapAttrs' = f: set: listToAttrs (mapAttrsToList f set);
  filterAttrs = f: set: removeAttrs set (filter (n: !(f n set.${n})) (attrNames set));
  importTOML = file: fromTOML (builtins.readFile file);

  fileset = {
    unions = concatMap (
      f:
      if builtins.isList f then
        f
      else if builtins.pathExists f then
        [ f ]
      else
        throw "fileset.unions: ${toString f} is not there"
    );
    # A file is kept if it is one of the set's, below one, or a folder above one.
    toSource =
      { root, fileset }:
      let
        kept = map toString fileset;
        below =
          dir: path: path == dir || builtins.substring 0 (builtins.stringLength dir + 1) path == "${dir}/";
      in
      builtins.path {
        path = root;
        name = "source";
        filter = path: _type: builtins.any (k: below k path || below path k) kept;
      };
  };
}
