//! Swagger UI and ReDoc: pages that show the document, and the files that they need, all in the program.
//!
//! Swagger UI comes with a crate. No crate brings ReDoc without a CDN: `redoc.standalone.js` is that of the npm package
//! `redoc` 2.5.4 (MIT), compressed; `cargo xtask api` holds it against the package.

use actix_web::web::Bytes;
use flate2::read::GzDecoder;
use std::borrow::Cow;
use std::io::{self, Read};
use std::sync::Arc;
use utoipa_swagger_ui::{Config, serve};

pub(crate) const SWAGGER_UI: &str = include_str!("pages/swagger.html");
pub(crate) const REDOC: &str = include_str!("pages/redoc.html");
const SWAGGER_UI_START: &str = include_str!("pages/swagger.js");
const REDOC_SCRIPT: &[u8] = include_bytes!("pages/redoc.standalone.js.gz");

/// The files that the pages need.
pub(crate) const FILES: [&str; 5] =
    ["favicon-32x32.png", "redoc.standalone.js", "swagger-ui-bundle.js", "swagger-ui-start.js", "swagger-ui.css"];

/// A file that a page needs.
pub(crate) struct File {
    pub(crate) bytes: Bytes,
    pub(crate) media_type: Cow<'static, str>,
    /// Whether it is compressed.
    pub(crate) gzip: bool,
}

impl File {
    /// The same for somebody who does not take what is compressed.
    pub(crate) fn plain(self) -> io::Result<Self> {
        if !self.gzip {
            return Ok(self);
        }
        let mut bytes = Vec::new();
        GzDecoder::new(&*self.bytes).read_to_end(&mut bytes)?;
        Ok(Self { bytes: bytes.into(), gzip: false, ..self })
    }
}

/// The file of this name.
pub(crate) fn file(name: &str) -> Option<File> {
    let script = |bytes, gzip| File { bytes: Bytes::from_static(bytes), media_type: "text/javascript".into(), gzip };
    match name {
        "swagger-ui-start.js" => Some(script(SWAGGER_UI_START.as_bytes(), false)),
        "redoc.standalone.js" => Some(script(REDOC_SCRIPT, true)),
        name if FILES.contains(&name) => {
            let file = serve(name, Arc::new(Config::default())).ok()??;
            Some(File {
                bytes: file.bytes.into_owned().into(),
                media_type: file.content_type.into(),
                gzip: file.gzpipped,
            })
        }
        _ => None,
    }
}
