#!/usr/bin/env bash
# No MongoDB, but a stand-in for tests: it speaks the same wire protocol and keeps everything in memory. It needs a JDK (17 or
# newer) and Maven.
#
#   standin.sh PORT [DIR]   runs it on PORT until the standard input ends, and prints "ready" and its process's id. With DIR it
#                           takes TLS alone; the certificate to trust, for localhost, is DIR/ca.pem.
#
# The jars come from Maven once, into STANDIN_LIBS.
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,8s/^# \{0,1\}//p' "$0"; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n 's:.*<standin.version>\(.*\)</standin.version>.*:\1:p' "$here/pom.xml")
libs=${STANDIN_LIBS:?}/mongo-standin-$version

. "$here/../../../../tests/jars.sh"
fetch_jars "$here/pom.xml" "$libs"

if [ $# -gt 1 ]; then
  keytool -genkeypair -alias server -keyalg RSA -keysize 2048 -dname CN=localhost -ext san=dns:localhost \
    -validity 3650 -keystore "$2/keys.p12" -storetype PKCS12 -storepass secret 2>/dev/null
  keytool -exportcert -rfc -alias server -keystore "$2/keys.p12" -storepass secret >"$2/ca.pem" 2>/dev/null
fi

java -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dslf4j.internal.verbosity=ERROR -cp "$libs/*" \
  "$here/MongoStandIn.java" "$1" ${2:+"$2/keys.p12"} </dev/null &
pid=$!
# It ends with whoever started this, also where that one is killed or it is frozen itself.
cat >/dev/null
kill -KILL "$pid" 2>/dev/null || true
wait "$pid" 2>/dev/null || true
