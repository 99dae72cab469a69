#!/bin/sh
# Installs a CRIU that is fit for current kernels, on Debian and what derives from it.
#
#   install-criu.sh [FOLDER]        FOLDER/<version>/criu is the program; /opt/bentofn/criu if not said
#
# apt itself fetches Debian's package and the libraries that it needs, with signatures checked
# against Debian's own keyring, as if nothing were installed; they are unpacked beside the system,
# whose packages stay as they are, and started through their own dynamic linker.
set -eu

FLOOR=4.2 # the first CRIU that dumps and restores on kernels from 6.16 on
SUITE=sid # the only suite of Debian that is sure to have it

folder=${1:-/opt/bentofn/criu}

refuse() {
  echo "$1" >&2
  exit 1
}

by_hand="install CRIU $FLOOR or later by hand and name it in BENTOFN_CRIU"

[ "$(uname -s)" = Linux ] || refuse "CRIU runs on Linux only; this machine has the engine template."
for tool in apt-get apt-config dpkg dpkg-deb; do
  command -v $tool >/dev/null ||
    refuse "This machine has no $tool (it is not Debian, nor derived from it); $by_hand."
done
architecture=$(dpkg --print-architecture)
case $architecture in
amd64 | arm64) ;;
*) refuse "The engine criu is for x86-64 and AArch64, not for $architecture." ;;
esac

for there in "$folder"/*/criu; do
  [ -x "$there" ] || continue
  version=$(basename "$(dirname "$there")")
  if dpkg --compare-versions "$version" ge $FLOOR && "$there" --version >/dev/null 2>&1; then
    echo "CRIU $version is there: $there"
    exit 0
  fi
done

[ "$(id -u)" = 0 ] || refuse "Only root can install CRIU (and run it); say: sudo bentofn snapshot setup"

own=$(apt-cache policy criu 2>/dev/null | sed -n 's/^ *Candidate: //p')
if [ -n "$own" ] && dpkg --compare-versions "$own" ge $FLOOR; then
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends criu >&2 ||
    refuse "apt-get install criu failed (this system's own package, $own, is fit); see above."
  echo "CRIU $own is installed, this system's own package: $(command -v criu)"
  exit 0
fi

for keyring in /usr/share/keyrings/debian-archive-keyring.gpg \
  /usr/share/keyrings/debian-archive-keyring.pgp ''; do
  [ -e "$keyring" ] && break
done
[ -n "$keyring" ] || refuse "Debian's keys are not here; say: apt-get install debian-archive-keyring"

umask 022
mkdir -p "$folder"
work=$(mktemp -d)
stage=$(mktemp -d "$folder/.bentofn-tmp-XXXXXXXX")
trap 'rm -rf "$work" "$stage"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$work" "$stage" # apt fetches as its own user
mkdir -p "$work/lists/partial" "$work/archives/partial"
: >"$work/status"

apt() {
  LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -qq \
    -o "Dir::State=$work" -o "Dir::State::status=$work/status" -o "Dir::State::Lists=$work/lists" \
    -o "Dir::Cache=$work" -o "Dir::Cache::archives=$work/archives" \
    -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=- \
    -o Dir::Etc::preferences=- -o Dir::Etc::preferencesparts=- \
    -o Dir::Etc::trusted=/dev/null -o Dir::Etc::trustedparts=/dev/null \
    -o APT::Architecture="$architecture" -o APT::Install-Recommends=false \
    -o APT::Get::AllowUnauthenticated=false -o Acquire::AllowInsecureRepositories=false \
    -o Acquire::AllowWeakRepositories=false -o Acquire::Languages=none -o Acquire::Retries=2 \
    -o Acquire::http::Timeout=30 -o Acquire::https::Timeout=30 -o DPkg::Post-Invoke= "$@"
}

# Where this host takes Debian from, else from Debian itself.
mirrors=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
  grep -v security | sort -u) || true
fetched=
for mirror in $mirrors http://deb.debian.org/debian; do
  (umask 077 && echo "deb [arch=$architecture signed-by=$keyring] $mirror $SUITE main" >"$work/sources.list")
  if apt update >"$work/log" 2>&1 &&
    apt install -y --download-only criu >>"$work/log" 2>&1; then
    fetched=yes
    break
  fi
done
if [ -z "$fetched" ]; then
  grep -E '^(E|W|Err)' "$work/log" | head -n 5 >&2 || true
  refuse "CRIU could not be fetched from Debian, or its signature is not good (see above); nothing was installed. Try again, or $by_hand."
fi

for package in "$work"/archives/*.deb; do
  dpkg-deb -x "$package" "$stage"
done
rm -rf "$stage/usr/share" "$stage/var"

loader=$(cd "$stage" && ls usr/lib*/ld-linux-*.so.* usr/lib/*/ld-linux-*.so.* 2>/dev/null | head -n 1)
libraries=$(cd "$stage" && ls -d usr/lib/*-linux-gnu)
cat >"$stage/criu" <<END
#!/bin/sh
here=\$(dirname "\$(readlink -f "\$0")")
exec "\$here/$loader" --inhibit-cache --library-path "\$here/$libraries" "\$here/usr/sbin/criu" "\$@"
END
chmod 755 "$stage/criu"
version=$("$stage/criu" --version | sed -n 's/^Version: //p')
dpkg --compare-versions "${version:-0}" ge $FLOOR ||
  refuse "Debian's CRIU is ${version:-broken}, and $FLOOR is needed; nothing was installed. Please $by_hand."
cat >"$stage/criu.json" <<END
{"version": "$version", "loader": "$loader", "libraries": "$libraries", "program": "usr/sbin/criu"}
END

sync -f "$stage" 2>/dev/null || sync
rm -rf "${folder:?}/$version"
mv -T "$stage" "$folder/$version"
echo "CRIU $version is installed: $folder/$version/criu"
