# A check of the whole workspace: a cargo command that must succeed. Its build output is not kept.
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
    # The build is thrown away: without debug information it takes a fraction of the disk.
    CARGO_PROFILE_DEV_DEBUG = "0";
    CARGO_INCREMENTAL = "0";
    # HTTPS clients need root certificates before they connect to anything.
    SSL_CERT_FILE = "${cacert}/etc/ssl/certs/ca-bundle.crt";
  };
  auditable = false;
  # Tests start servers on 127.0.0.1, which the sandbox of macOS otherwise refuses.
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
