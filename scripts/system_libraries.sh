#!/bin/sh
# Get the system libraries that Qt and OpenGL need on Linux. Installs what is missing where that is allowed, otherwise names
# the exact command. Uses no network when nothing is missing.
set -eu

[ "$(uname -s)" = Linux ] || exit 0

have() { ldconfig=$(command -v ldconfig || echo /sbin/ldconfig); "$ldconfig" -p 2>/dev/null | grep -q "$1"; }

missing=""
need() { have "$1" || missing="$missing $2"; }
need libEGL.so.1 libegl1
need libOpenGL.so.0 libopengl0
need libGL.so.1 libgl1
need libxkbcommon-x11.so.0 libxkbcommon-x11-0
need libxcb-cursor.so.0 libxcb-cursor0
need libxcb-icccm.so.4 libxcb-icccm4
need libxcb-keysyms.so.1 libxcb-keysyms1
need libxcb-shape.so.0 libxcb-shape0
need libxcb-xinerama.so.0 libxcb-xinerama0
need libxcb-image.so.0 libxcb-image0
need libxcb-render-util.so.0 libxcb-render-util0
need libdbus-1.so.3 libdbus-1-3
need libfontconfig.so.1 libfontconfig1
need libglib-2.0.so.0 libglib2.0-0
# A display brings its own OpenGL driver; Xvfb needs Mesa's.
if [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then
    ls /usr/lib*/dri/*_dri.so /usr/lib*/*/dri/*_dri.so /usr/lib*/libgallium-* /usr/lib*/*/libgallium-* 2>/dev/null | grep -q . ||
        missing="$missing libgl1-mesa-dri"
    command -v xvfb-run >/dev/null || missing="$missing xvfb"
    command -v xauth >/dev/null || missing="$missing xauth"
fi
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "These system libraries are missing (Debian's names):$missing. Install your distribution's packages for them and try again." >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    root="env"
elif sudo -n true 2>/dev/null; then
    root="sudo -n env"
else
    echo "System libraries are missing; run: sudo apt-get update && sudo apt-get install --yes --no-install-recommends$missing" >&2
    exit 1
fi
echo "Installing system libraries:$missing"
# One broken extra source must not stop what the others deliver.
# shellcheck disable=SC2086
$root apt-get -qq update || true
# shellcheck disable=SC2086
$root DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends $missing >/dev/null || {
    echo "Installing system libraries failed; run as root: apt-get update && apt-get install --yes --no-install-recommends$missing" >&2
    exit 1
}
