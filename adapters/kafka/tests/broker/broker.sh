#!/usr/bin/env bash
# An Apache Kafka for tests: one node, KRaft, in a directory of its own. It needs a JDK (17 or newer) and Maven.
#
#   broker.sh run DIR PORT         runs a broker in DIR until its standard input ends, then removes DIR: plain text on PORT,
#                                  its controller on PORT + 1, SASL_SSL on PORT + 2. Who comes to PORT + 3 is told to go
#                                  on at PORT + 4, where a test may stand in between. The broker's own id is in DIR/pid.
#   broker.sh tool DIR NAME ARGS   one of Kafka's own tools: groups, topics, acls, configs, consume
#
# Everybody may do everything that no ACL forbids.
#
# The jars come from Maven once, into KAFKA_LIBS. The certificate in DIR/ca.pem is for localhost. The users of SASL are
# plain, scram256 and scram512, after the mechanism that each is for; their password is their name and "-secret".
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
version=$(sed -n 's:.*<kafka.version>\(.*\)</kafka.version>.*:\1:p' "$here/pom.xml")
libs=${KAFKA_LIBS:?}/kafka-$version

. "$here/../../../../tests/jars.sh"

java_of() { # DIR CLASS ARGS
  java -Xms64m -Xmx"${KAFKA_HEAP:-320m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$libs/*" \
    "-Dlog4j2.configurationFile=$1/log4j2.properties" "${@:2}"
}

make_keys() { # DIR
  keytool -genkeypair -alias broker -keyalg EC -groupname secp256r1 -dname CN=localhost -ext san=dns:localhost,ip:127.0.0.1 \
    -validity 3650 -keystore "$1/keys.p12" -storetype PKCS12 -storepass secret 2>"$1/keys.log"
  keytool -exportcert -rfc -alias broker -keystore "$1/keys.p12" -storepass secret >"$1/ca.pem" 2>>"$1/keys.log"
}

configure() { # DIR PORT
  local plain=127.0.0.1:$2 controller=127.0.0.1:$(($2 + 1)) secure=$(($2 + 2)) login=org.apache.kafka.common.security
  local line=127.0.0.1:$(($2 + 3)) far=127.0.0.1:$(($2 + 4))
  cat >"$1/server.properties" <<P
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=$controller
listeners=PLAINTEXT://$plain,CONTROLLER://$controller,SASL_SSL://127.0.0.1:$secure,LINE://$line
advertised.listeners=PLAINTEXT://$plain,CONTROLLER://$controller,SASL_SSL://localhost:$secure,LINE://$far
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,LINE:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=$login.plain.PlainLoginModule required user_plain="plain-secret";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=$login.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=$login.scram.ScramLoginModule required;
ssl.keystore.location=$1/keys.p12
ssl.keystore.type=PKCS12
ssl.keystore.password=secret
log.dirs=$1/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=3000
group.consumer.min.heartbeat.interval.ms=100
group.consumer.heartbeat.interval.ms=300
auto.create.topics.enable=false
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
allow.everyone.if.no.acl.found=true
P
  cat >"$1/log4j2.properties" <<P
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d{ISO8601} %p %c %m%n
P
}

run() { # DIR PORT
  mkdir -p "$1"
  local dir id pid
  dir=$(cd "$1" && pwd)
  fetch_jars "$here/pom.xml" "$libs"
  if [ ! -e "$dir/data/meta.properties" ]; then
    make_keys "$dir"
    configure "$dir" "$2"
    # Of letters and digits alone: one that begins with a dash would be read as an option.
    id=$(head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d =)
    java_of "$dir" kafka.tools.StorageTool format --standalone -t "$id" -c "$dir/server.properties" \
      --add-scram 'SCRAM-SHA-256=[name=scram256,password=scram256-secret]' \
      --add-scram 'SCRAM-SHA-512=[name=scram512,password=scram512-secret]' >"$dir/format.log" 2>&1
  fi
  java -Xms128m -Xmx"${KAFKA_HEAP:-320m}" -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$libs/*" \
    "-Dlog4j2.configurationFile=$dir/log4j2.properties" "-Dkafka.logs.dir=$dir" \
    kafka.Kafka "$dir/server.properties" >>"$dir/broker.log" 2>&1 </dev/null &
  pid=$!
  # Its end is no news: tests kill it.
  disown
  echo "$pid" >"$dir/pid"
  cat >/dev/null
  kill -KILL "$pid" 2>/dev/null || true
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
  rm -rf "$dir"
}

tool() { # DIR NAME ARGS
  local dir=$1 name=$2 server
  server=$(sed -n 's:^listeners=PLAINTEXT\://\([^,]*\),.*:\1:p' "$dir/server.properties")
  shift 2
  case $name in
    groups) java_of "$dir" org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --bootstrap-server "$server" "$@" ;;
    topics) java_of "$dir" org.apache.kafka.tools.TopicCommand --bootstrap-server "$server" "$@" ;;
    acls) java_of "$dir" org.apache.kafka.tools.AclCommand --bootstrap-server "$server" "$@" ;;
    configs) java_of "$dir" kafka.admin.ConfigCommand --bootstrap-server "$server" "$@" ;;
    consume) java_of "$dir" org.apache.kafka.tools.consumer.ConsoleConsumer --bootstrap-server "$server" "$@" ;;
    *) echo "groups, topics, acls, configs or consume" >&2; return 2 ;;
  esac
}

case ${1:-} in
  run) run "$2" "$3" ;;
  tool) tool "${@:2}" ;;
  *) sed -n '2,12s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac
