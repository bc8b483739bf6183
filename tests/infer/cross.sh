# Sourced, in the repository's root: what building and running aarch64 code takes, installed
# where it is missing (Debian and its kin, as root).
#
# Leaves `cargo`, `package` (what to give it) and `emulate CORE` behind. `unable` ends with 77.
PATH=$PATH:/usr/sbin:/sbin
triple=aarch64-unknown-linux-gnu

has() { command -v "$1" >/dev/null; }
unable() { echo "$0 cannot run here: $*" >&2; exit 77; }
rustup_has_target() { has rustup && rustup target list --installed 2>/dev/null | grep -qx "$triple"; }
debian_has_target() { [ -x /usr/bin/cargo ] && compgen -G "/usr/lib/rustlib/$triple/lib/libstd-*" >/dev/null; }

missing=()
has qemu-aarch64 || missing+=(qemu-user)
has aarch64-linux-gnu-gcc || missing+=(gcc-aarch64-linux-gnu)
[ -e /usr/aarch64-linux-gnu/lib/crt1.o ] || missing+=(libc6-dev-arm64-cross)
rustup_has_target || debian_has_target || missing+=(rustc-web cargo-web libstd-rust-web-dev:arm64)
if [ ${#missing[@]} -gt 0 ]; then
  has apt-get || unable "no apt-get to install ${missing[*]}"
  [ "$(id -u)" = 0 ] || unable "no root to install ${missing[*]}"
  dpkg --add-architecture arm64
  apt-get update -qq || true
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" ||
    unable "apt-get could not install ${missing[*]}"
fi

# A folder of its own: another compiler's files lie beside it.
CARGO_TARGET_DIR=$(realpath -m "${CARGO_TARGET_DIR:-target}")/qemu
export CARGO_TARGET_DIR
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
# Static: with the loader of the cross packages and the libc of Debian's own arm64 packages, which
# qemu would pair where both are installed, the first new thread spins for ever.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
if rustup_has_target; then
  cargo=(cargo)
else
  # Its whole name, and its compiler's: rustup's proxies may stand before it in PATH.
  cargo=(/usr/bin/cargo)
  export RUSTC=/usr/bin/rustc
  unset RUSTUP_TOOLCHAIN
fi
package=(--locked --release --package edge-infer --target "$triple")

# From here on, what cargo runs is run as on that core.
emulate() { export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -cpu $1"; }
