//! What comes from others, against `deny.toml`: from where, under which licence, and what never. The same file is read by
//! cargo-deny, which knows more, and needs minutes to be built and the network to know it.

use crate::run::{cargo, output, read};
use semver::{Version, VersionReq};
use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};

/// What this reads of `deny.toml`.
#[derive(Debug, Deserialize)]
struct Rules {
    licenses: Licenses,
    bans: Bans,
    sources: Sources,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    /// A name, or `name:requirement`.
    #[serde(rename = "crate")]
    what: String,
    reason: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Sources {
    allow_registry: Vec<String>,
}

/// What cargo tells of the whole tree, all features and platforms.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Debug, Deserialize)]
struct Package {
    name: String,
    version: Version,
    /// Absent for our own.
    source: Option<String>,
    license: Option<String>,
}

/// Everything that `deny.toml` forbids. It fails where `Cargo.lock` is not what the manifests ask for.
pub(crate) fn faults() -> Result<Vec<String>, String> {
    let rules: Rules = toml::from_str(&read("deny.toml")?).map_err(|error| format!("deny.toml: {error}"))?;
    let tree = output(&mut cargo(&["metadata", "--format-version", "1", "--all-features", "--locked"]))?;
    let tree: Metadata = serde_json::from_str(&tree).map_err(|error| error.to_string())?;
    faults_of(&rules, &tree.packages)
}

fn faults_of(rules: &Rules, packages: &[Package]) -> Result<Vec<String>, String> {
    let licences = rules.licenses.allow.iter().map(|licence| Licensee::parse(licence));
    let licences: Vec<_> = licences.collect::<Result<_, _>>().map_err(|error| format!("deny.toml: {error}"))?;
    let bans: Vec<_> = rules.bans.deny.iter().map(Ban::parsed).collect::<Result<_, _>>()?;
    let mut faults = Vec::new();
    for package in packages {
        let Package { name, version, .. } = package;
        if !comes_from(package, &rules.sources.allow_registry) {
            let source = package.source.as_deref().unwrap_or_default();
            faults.push(format!("{name} {version} comes from {source:?}"));
        }
        if !has_one_of(package, &licences) {
            let licence = package.license.as_deref().unwrap_or_default();
            faults.push(format!("{name} {version} has the licence {licence:?}"));
        }
        let banned = bans.iter().filter(|(banned, versions, _)| banned == name && versions.matches(version));
        faults.extend(banned.map(|(.., reason)| format!("{name} {version} is banned: {reason}")));
    }
    Ok(faults.into_iter().map(|fault| format!("{fault} (deny.toml)")).collect())
}

impl Ban {
    fn parsed(&self) -> Result<(&str, VersionReq, &str), String> {
        let (name, versions) = self.what.split_once(':').unwrap_or((&self.what, "*"));
        let versions = VersionReq::parse(versions).map_err(|error| format!("deny.toml: {}: {error}", self.what))?;
        Ok((name, versions, &self.reason))
    }
}

fn comes_from(package: &Package, registries: &[String]) -> bool {
    let Some(source) = &package.source else { return true };
    source.strip_prefix("registry+").is_some_and(|from| registries.iter().any(|registry| registry == from))
}

fn has_one_of(package: &Package, licences: &[Licensee]) -> bool {
    let expression = package.license.as_deref().unwrap_or_default();
    // Old packages write `MIT/Apache-2.0`.
    Expression::parse_mode(expression, ParseMode::LAX)
        .is_ok_and(|all| all.evaluate(|one| licences.iter().any(|licence| licence.satisfies(one))))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0", "ISC"]
        [bans]
        deny = [{ crate = "old:<0.4", reason = "a known fault" }, { crate = "never", reason = "no way" }]
        [sources]
        allow-registry = ["https://here"]
    "#;

    fn faults(name: &str, version: &str, source: &str, licence: &str) -> Vec<String> {
        let source = (!source.is_empty()).then(|| source.to_owned());
        let package =
            Package { name: name.into(), version: version.parse().unwrap(), source, license: Some(licence.into()) };
        faults_of(&toml::from_str(RULES).unwrap(), &[package]).unwrap()
    }

    #[test]
    fn what_the_file_does_not_allow_is_told_with_its_reason() {
        let here = "registry+https://here";
        for (name, version, source, licence) in [
            ("good", "1.0.0", here, "MIT"),
            ("good", "1.0.0", here, "GPL-3.0-only OR MIT/Apache-2.0"),
            ("ours", "0.1.0", "", "MIT OR Apache-2.0"),
            ("old", "0.4.1", here, "(MIT OR GPL-2.0-only) AND ISC"),
        ] {
            assert_eq!(faults(name, version, source, licence), [""; 0]);
        }
        for (name, version, source, licence, told) in [
            ("old", "0.3.27", here, "MIT", "is banned: a known fault"),
            ("never", "9.0.0", here, "MIT", "is banned: no way"),
            ("good", "1.0.0", here, "MIT AND GPL-3.0-only", "has the licence \"MIT AND GPL-3.0-only\""),
            ("good", "1.0.0", here, "", "has the licence \"\""),
            ("good", "1.0.0", "git+https://here/good", "MIT", "comes from \"git+https://here/good\""),
            ("good", "1.0.0", "registry+https://there", "MIT", "comes from \"registry+https://there\""),
        ] {
            assert_eq!(faults(name, version, source, licence), [format!("{name} {version} {told} (deny.toml)")]);
        }
    }
}
