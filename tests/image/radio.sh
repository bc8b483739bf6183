# shellcheck shell=bash
# What the card with radios has beyond the others, from Debian's arm64 packages: sourced by tests/image/run.
#   radio DEBIAN OVERLAY   DEBIAN is the folder where `nightjar build` keeps its packages
radio() {
  local debian files modules package
  debian=$(realpath "$1") files=$2
  local apt=(apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o APT::Sandbox::User=
    -o "Dir::State=$debian/state" -o "Dir::State::status=$debian/status" -o "Dir::Cache=$debian/cache")
  mkdir -p "$debian/radio" "$files/usr/sbin" "$files/usr/bin" "$files/lib/aarch64-linux-gnu" "$files/usr/lib/radio"
  (cd "$debian/radio" && "${apt[@]}" download hostapd wpasupplicant iw libnl-3-200 libnl-genl-3-200 \
    libnl-route-3-200 libssl3 libdbus-1-3 libpcsclite1 libsystemd0 libcap2 libgcrypt20 libgpg-error0 \
    liblz4-1 liblzma5 libzstd1)
  for package in "$debian"/radio/*.deb; do dpkg-deb -x "$package" "$debian/radio/files"; done
  cp "$debian"/radio/files/usr/sbin/hostapd "$debian"/radio/files/sbin/wpa_supplicant "$debian"/radio/files/sbin/iw "$files/usr/sbin"
  cp -L "$debian"/radio/files/{,usr/}lib/aarch64-linux-gnu/*.so.* "$files/lib/aarch64-linux-gnu"
  modules=$(echo "$debian"/unpacked/linux-image-*/lib/modules/*/kernel)
  cp "$modules"/{net/{rfkill/rfkill,wireless/cfg80211,mac80211/mac80211},lib/crypto/libarc4,crypto/{ctr,ccm,cmac},drivers/net/wireless/mac80211_hwsim}.ko \
    "$files/usr/lib/radio"
  mkdir -p "$files/etc/nightjar"
  { echo BOARD=qemu-arm64; sed 's/^WIFI=no$/WIFI=yes/' board/qemu-arm64/facts; } >"$files/etc/nightjar/facts"
  aarch64-linux-gnu-gcc -O2 -Wall -static -o "$files/usr/bin/ask" tests/image/ask.c
}
