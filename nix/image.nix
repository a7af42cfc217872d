# An OCI image that contains the static tickstream and nothing else. It listens on all addresses, so it
# does not start without WEBHOOK_SECRETS; its data is in the volume /data.
{
  dockerTools,
  arch,
  crates,
  programs,
}:

dockerTools.buildLayeredImage {
  name = "tickstream";
  tag = crates.version;
  architecture = if arch == "x86_64" then "amd64" else arch;
  # A new volume takes its owner and mode from the folder in the image.
  extraCommands = ''
    mkdir -m 0777 data
    mkdir -m 1777 tmp
  '';
  config = {
    Entrypoint = [ "${programs}/bin/tickstream" ];
    Env = [
      "DATA_DIR=/data"
      "LISTEN=0.0.0.0:8080"
    ];
    ExposedPorts."8080/tcp" = { };
    Volumes."/data" = { };
    User = "65534:65534";
  };
}
