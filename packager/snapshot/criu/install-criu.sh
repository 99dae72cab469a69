#!/bin/sh
# Installs a CRIU that is fit for current kernels, on Debian and what derives from it.
#
#   install-criu.sh [FOLDER]        it becomes FOLDER/<version>/criu; by default in /opt/bentofn/criu
#
# apt itself fetches Debian's package and the libraries that it needs, with signatures checked
# against Debian's own keys, as if nothing were installed. They are unpacked beside the system, whose
# packages stay as they are, and run through their own dynamic linker.
set -eu

floor=4.2 # below it, CRIU fails on current kernels
suite=sid # of Debian, the one that is sure to have it
folder=${1:-/opt/bentofn/criu}
by_hand="install CRIU $floor or later by hand and name it in BENTOFN_CRIU"

refuse() {
  echo "$1" >&2
  exit 1
}

for tool in apt-get apt-cache dpkg dpkg-deb flock; do
  command -v $tool >/dev/null ||
    refuse "This machine has no $tool (it is not Debian nor derived from it); $by_hand."
done
architecture=$(dpkg --print-architecture)
case $architecture in
amd64 | arm64) ;;
*) refuse "The engine criu is for x86-64 and AArch64, not for $architecture." ;;
esac

installed() {
  for program in "$folder"/*/criu; do
    version=$(basename "$(dirname "$program")")
    if dpkg --compare-versions "$version" ge $floor && "$program" --version >/dev/null 2>&1; then
      echo "CRIU $version is there: $program"
      exit 0
    fi
  done
}
installed 2>/dev/null
[ "$(id -u)" = 0 ] || refuse "Only root can install CRIU, and use it; run this as root, as with sudo."

own=$(apt-cache policy criu 2>/dev/null | sed -n 's/^ *Candidate: //p')
if [ -n "$own" ] && dpkg --compare-versions "$own" ge $floor; then
  LC_ALL=C DEBIAN_FRONTEND=noninteractive \
    apt-get install -qq -y --no-install-recommends criu >&2 ||
    refuse "This system's own criu ($own) is fit, but apt-get install criu failed; run it and see."
  echo "CRIU $own is installed, this system's own package: $(command -v criu)"
  exit 0
fi

keyring=
for file in /usr/share/keyrings/debian-archive-keyring.gpg /usr/share/keyrings/debian-archive-keyring.pgp; do
  [ ! -e $file ] || keyring=$file
done
[ -n "$keyring" ] ||
  refuse "Debian's keys are missing here; apt-get install debian-archive-keyring, then try again."

umask 022
mkdir -p "$folder" || refuse "$folder cannot be made; free its place, or name another folder."
exec 9>"$folder/.lock"
flock 9 # one installs, others wait and find it there
installed 2>/dev/null
rm -rf "$folder"/.bentofn-tmp-*
stage=$folder/.bentofn-tmp-$$
work=$(mktemp -d)
trap 'rm -rf "$work" "$stage"' EXIT
trap 'exit 1' HUP INT TERM
chmod 755 "$work" # apt fetches as a user of its own
mkdir -p "$stage" "$work/lists/partial" "$work/archives/partial"
: >"$work/status"

private_apt() {
  LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -qq \
    -o Dir::State="$work" -o Dir::State::status="$work/status" -o Dir::State::Lists="$work/lists" \
    -o Dir::Cache="$work" -o Dir::Cache::archives="$work/archives" \
    -o Dir::Etc::sourcelist="$work/sources.list" -o Dir::Etc::sourceparts=- \
    -o Dir::Etc::preferences=- -o Dir::Etc::preferencesparts=- \
    -o Dir::Etc::trusted=- -o Dir::Etc::trustedparts=- \
    -o APT::Architecture="$architecture" -o APT::Install-Recommends=false \
    -o APT::Get::AllowUnauthenticated=false -o Acquire::AllowInsecureRepositories=false \
    -o Acquire::AllowWeakRepositories=false -o APT::Update::Error-Mode=any \
    -o Acquire::Languages=none -o Acquire::Retries=1 \
    -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "$@" >>"$work/log" 2>&1 9>&-
}

# From where this host takes Debian, else from Debian itself. Apt knows whose archive one is once it
# has fetched its index; before that, any may be.
addresses() {
  apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "$@" 2>/dev/null |
    grep -v -- security | sort -u
}
mirrors=$(addresses 'Origin: Debian')
[ -n "$mirrors" ] || mirrors=$(addresses --no-release-info)
fetched=
for mirror in $mirrors http://deb.debian.org/debian; do
  : >"$work/log"
  (umask 077 && echo "deb [arch=$architecture signed-by=$keyring] $mirror $suite main" \
    >"$work/sources.list") # the address may hold a password
  if private_apt update && private_apt install -y --download-only criu; then
    fetched=yes
    break
  fi
done
if [ -z "$fetched" ]; then
  reason=$({ grep '^E:' "$work/log" || cat "$work/log"; } | sed 's/^E: *//; s/[. ]*$//' | head -n 1)
  refuse "Debian's CRIU could not be fetched whole and signed, so nothing was installed (${reason:-apt says nothing}); try again later, or $by_hand."
fi

for package in "$work"/archives/*.deb; do
  dpkg-deb -x "$package" "$stage" 2>"$work/log" ||
    refuse "CRIU could not be unpacked in $folder ($(tail -n 1 "$work/log")); nothing was installed."
done
rm -rf "$stage/usr/share" "$stage/var" "$stage"/usr/lib/*/gconv

cd "$stage"
loader=$(find usr/lib* -name 'ld-linux-*.so.*' | sort | head -n 1)
libraries=$(dirname "$(find usr/lib -name libc.so.6)")
cat >criu <<END
#!/bin/sh
here=\$(dirname "\$(readlink -f "\$0")")
exec "\$here/$loader" --inhibit-cache --library-path "\$here/$libraries" "\$here/usr/sbin/criu" "\$@"
END
chmod 755 criu
version=$(./criu --version | sed -n 's/^Version: //p')
dpkg --compare-versions "${version:-0}" ge $floor ||
  refuse "Debian's CRIU is ${version:-broken}, and $floor is needed; nothing was installed; $by_hand."
cat >criu.json <<END
{"version": "$version", "loader": "$loader", "libraries": "$libraries", "program": "usr/sbin/criu"}
END
cd /

sync -f "$folder" 2>/dev/null || sync
rm -rf "${folder:?}/$version"
mv -T "$stage" "$folder/$version"
echo "CRIU $version is installed: $folder/$version/criu"
