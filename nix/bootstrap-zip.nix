# NAME.zip as Lambda expects it for an OS-only runtime: one executable file named bootstrap, at the top.
# Date, mode and extra fields are fixed, so equal binaries give equal zips; tools/zips does the same.
{
  runCommand,
  zip,
  name,
  functions,
}:

runCommand "${name}-zip" { nativeBuildInputs = [ zip ]; } ''
  install -m 755 ${functions}/bin/${name} bootstrap
  # 1980-01-01 is the earliest date that a zip can represent; zip writes local time.
  TZ=UTC0 touch -d 1980-01-01T00:00:00 bootstrap
  mkdir $out
  TZ=UTC0 zip -q -X $out/${name}.zip bootstrap
''
