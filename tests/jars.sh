# For the scripts that run servers of Java for tests: the jars come from Maven once. It is sourced.

# Tests of several programs may want them at the same moment; the first one fetches.
fetch_jars() { # POM FOLDER
  mkdir -p "$2"
  exec 9>"$2/.lock"
  flock 9
  if [ ! -e "$2/.complete" ]; then
    mvn -q -B -f "$1" dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$2" >&2
    touch "$2/.complete"
  fi
  exec 9>&-
}
