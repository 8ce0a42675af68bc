#!/bin/bash
# certificates.sh directory
#	A private CA (ca.crt, ca.key), a certificate of the server "localhost"
#	(server.crt, server.key), one of the client "app" (client.crt, client.key),
#	and another CA that has signed none of them (other.crt).

set -euo pipefail

mkdir -p "$1"
cd "$1"
umask 077
key=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30)

openssl req -x509 "${key[@]}" -subj '/CN=CA of the tests' -keyout ca.key -out ca.crt
openssl req -x509 "${key[@]}" -subj '/CN=another CA' -keyout other.key -out other.crt
for name in server:localhost client:app; do
	openssl req -x509 "${key[@]}" -subj "/CN=${name#*:}" -CA ca.crt -CAkey ca.key \
		-addext "subjectAltName = DNS:${name#*:}, IP:127.0.0.1" \
		-addext 'basicConstraints = critical, CA:false' \
		-keyout "${name%:*}.key" -out "${name%:*}.crt"
done
