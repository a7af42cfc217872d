# Each zip holds exactly one file, bootstrap, executable and dated 1980-01-01.
{
  lib,
  runCommand,
  unzip,
  zips,
}:

runCommand "check-zips" { nativeBuildInputs = [ unzip ]; } ''
  check() {
    zipinfo -T "$1" | grep -E '^[-d]' >listing
    cat listing
    test "$(wc -l <listing)" = 1
    grep -Eq '^-rwxr-xr-x .* 19800101\.000000 bootstrap$' listing
  }
  ${lib.concatStringsSep "\n" (lib.mapAttrsToList (name: zip: "check ${zip}/${name}.zip") zips)}
  touch $out
''
