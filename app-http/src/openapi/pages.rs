//! Swagger UI and ReDoc: pages that show the document, and the files that they need, all in the program.
//!
//! Swagger UI comes with a crate. No crate brings ReDoc without a CDN: `redoc.standalone.js` is that of the npm package
//! `redoc` 2.5.4 (MIT), compressed; `cargo xtask api` holds it against the package.

use actix_web::web::Bytes;
use flate2::read::GzDecoder;
use std::borrow::Cow;
use std::io::Read;
use std::sync::{Arc, LazyLock, OnceLock};
use utoipa_swagger_ui::{Config, serve};

pub(crate) const SWAGGER_UI: &str = include_str!("pages/swagger.html");
pub(crate) const REDOC: &str = include_str!("pages/redoc.html");
const SWAGGER_UI_START: &str = include_str!("pages/swagger.js");
const REDOC_SCRIPT: &[u8] = include_bytes!("pages/redoc.standalone.js.gz");

/// The files that the pages need.
pub(crate) const FILES: [&str; 5] =
    ["favicon-32x32.png", "redoc.standalone.js", "swagger-ui-bundle.js", "swagger-ui-start.js", "swagger-ui.css"];

/// One of each for the process, so that slow readers, however many, hold nothing of their own.
static KEPT: LazyLock<[Option<File>; FILES.len()]> = LazyLock::new(|| FILES.map(open));

/// A file that a page needs.
pub(crate) struct File {
    pub(crate) media_type: Cow<'static, str>,
    bytes: Bytes,
    /// Whether they are compressed.
    gzip: bool,
    /// They unpacked, once somebody asked for that; `None` where they cannot be.
    plain: OnceLock<Option<Bytes>>,
}

impl File {
    /// It compressed; `None` where it is not kept so.
    pub(crate) fn gzip(&self) -> Option<Bytes> {
        self.gzip.then(|| self.bytes.clone())
    }

    /// It for somebody who does not take what is compressed.
    pub(crate) fn plain(&self) -> Option<Bytes> {
        if !self.gzip {
            return Some(self.bytes.clone());
        }
        let unpack = || {
            let mut bytes = Vec::new();
            GzDecoder::new(&*self.bytes).read_to_end(&mut bytes).ok().map(|_| bytes.into())
        };
        self.plain.get_or_init(unpack).clone()
    }
}

/// The file of this name.
pub(crate) fn file(name: &str) -> Option<&'static File> {
    let at = FILES.iter().position(|known| *known == name)?;
    KEPT.get(at)?.as_ref()
}

fn open(name: &'static str) -> Option<File> {
    let file = |bytes, media_type, gzip| File { media_type, bytes, gzip, plain: OnceLock::new() };
    let script = |bytes, gzip| Some(file(Bytes::from_static(bytes), "text/javascript".into(), gzip));
    match name {
        "swagger-ui-start.js" => script(SWAGGER_UI_START.as_bytes(), false),
        "redoc.standalone.js" => script(REDOC_SCRIPT, true),
        name => {
            let served = serve(name, Arc::new(Config::default())).ok()??;
            let bytes = match served.bytes {
                Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                Cow::Owned(bytes) => bytes.into(),
            };
            Some(file(bytes, served.content_type.into(), served.gzpipped))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_for_a_file_gets_the_same_bytes() {
        for name in FILES {
            let whole = |way: fn(&File) -> Option<Bytes>| {
                let [one, other] = [(); 2].map(|()| file(name).and_then(way));
                let place = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| (bytes.as_ptr(), bytes.len()));
                assert_eq!(place(&one), place(&other), "{name}");
                one.map_or(0, |bytes| bytes.len())
            };
            let (plain, gzip) = (whole(File::plain), whole(File::gzip));
            assert!(plain > 0 && (gzip > 0 || name == "swagger-ui-start.js"), "{name}: {plain} bytes, {gzip} packed");
        }
        assert!(file("index.html").is_none());
    }
}
