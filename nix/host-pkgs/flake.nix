# A stand-in for nixpkgs, for machines that cannot reach a binary cache: it offers the few attributes
# that this repository's flake uses, over the compilers and tools already on the host.
# tools/nix-host-check copies it beside a host.json that it writes, and passes the copy as
# --override-input nixpkgs; nothing else refers to it.
#
# It checks this repository's Nix code. It does not check nixpkgs, and what it builds is not for
# release: the tools are the host's, not pinned ones.
{
  outputs =
    _:
    let
      lib = import ./lib.nix;
      host = builtins.fromJSON (builtins.readFile ./host.json);
    in
    {
      inherit lib;
      legacyPackages = lib.genAttrs [
        "x86_64-linux"
        "aarch64-linux"
        "aarch64-darwin"
      ] (system: import ./pkgs.nix { inherit lib host system; });
    };
}
