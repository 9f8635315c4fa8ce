#!/bin/sh
# Makes a throw-away certificate authority and one server certificate: authority.sh DIR NAME...
# The keys live as long as the test's directory; nothing trusts them but the test itself.
set -eu
dir=$1
shift
mkdir -p "$dir"
cd "$dir"
names=""
for name in "$@"; do names="$names${names:+,}DNS:$name"; done

openssl ecparam -name prime256v1 -genkey -noout -out ca.key
openssl req -x509 -new -key ca.key -sha256 -days 7 -subj "/CN=Creel test upstream authority" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign" -out ca.pem
openssl ecparam -name prime256v1 -genkey -noout -out server.key
openssl req -new -key server.key -subj "/CN=$1" -out server.csr
cat > server.ext <<EXT
subjectAltName=$names
extendedKeyUsage=serverAuth
keyUsage=critical,digitalSignature
basicConstraints=critical,CA:FALSE
EXT
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 7 -sha256 \
    -extfile server.ext -out server.only.pem 2>/dev/null
cat server.only.pem ca.pem > server.pem
chmod 600 ca.key server.key
