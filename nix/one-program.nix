# One of several programs that were built together.
{
  runCommand,
  name,
  programs,
}:

runCommand name { } ''
  mkdir -p $out/bin
  ln -s ${programs}/bin/${name} $out/bin/${name}
''
