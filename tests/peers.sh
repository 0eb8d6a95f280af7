#!/bin/bash
# Install the real DICOM peers of the tests where Debian's packages can be had; say so and go on where not.
set -u
missing=()
command -v dcmsend >/dev/null || missing+=(dcmtk)
command -v Orthanc >/dev/null || [ -x /usr/sbin/Orthanc ] || missing+=(orthanc)
command -v strace >/dev/null || missing+=(strace)
if [ ${#missing[@]} -eq 0 ]; then echo "peers: dcmtk, Orthanc and strace are here"; exit 0; fi
as_root=(); [ "$(id -u)" = 0 ] || as_root=(sudo -n)
export DEBIAN_FRONTEND=noninteractive
if "${as_root[@]}" apt-get update -qq && "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null; then
    echo "peers: installed ${missing[*]}"
else
    echo "peers: could not install ${missing[*]}; the tests that need them will be skipped by name"
fi
exit 0
