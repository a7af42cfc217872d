# A verdict on the whole workspace: a command of cargo that has to end well. Nothing is kept of it.
{
  rustPlatform,
  cacert,
  crates,
  name,
  tools,
  command,
}:

rustPlatform.buildRustPackage {
  pname = "tickstream-${name}";
  inherit (crates) version;
  src = crates.wholeSource;
  cargoLock = { inherit (crates) lockFile; };
  nativeBuildInputs = tools;

  # _FORTIFY_SOURCE warns where nothing is optimised, as in the dev profile, and jemalloc's configure
  # script takes the warning for an error.
  hardeningDisable = [ "fortify" ];

  env = {
    AWS_LC_SYS_USE_SYSTEM = "0";
    # Nobody steps through what is thrown away: a fraction of the disk.
    CARGO_PROFILE_DEV_DEBUG = "0";
    CARGO_INCREMENTAL = "0";
    # HTTPS clients want root certificates before they connect to anything.
    SSL_CERT_FILE = "${cacert}/etc/ssl/certs/ca-bundle.crt";
  };
  auditable = false;
  # Tests start servers on 127.0.0.1, which the sandbox of macOS refuses otherwise.
  __darwinAllowLocalNetworking = true;

  buildPhase = ''
    runHook preBuild
    ${command}
    runHook postBuild
  '';
  doCheck = false;
  installPhase = "touch $out";

  meta.description = "tickstream: ${name}";
}
