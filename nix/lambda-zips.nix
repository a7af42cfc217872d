# All zips of one architecture with their SHA256SUMS, as `just deploy` expects them.
{
  lib,
  runCommand,
  arch,
  zips,
}:

runCommand "lambda-zips-${arch}" { } ''
  mkdir $out
  cp ${lib.concatStringsSep " " (lib.mapAttrsToList (name: zip: "${zip}/${name}.zip") zips)} $out
  cd $out
  sha256sum -- *.zip >SHA256SUMS
''
